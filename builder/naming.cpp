#include "builder/naming.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "builder/utf8.h"

namespace firn {
namespace {

constexpr size_t kMaxNameLength = 255;
// An image at one of these would hide from its jobs what every program needs: the loader, the
// shell, devices, users, homes. Below them is room enough.
constexpr std::array<std::string_view, 26> kHostDirectories{
    "/bin",     "/boot",      "/dev",      "/etc", "/home",   "/lib",  "/lib32",
    "/lib64",   "/libx32",    "/media",    "/mnt", "/opt",    "/proc", "/root",
    "/run",     "/sbin",      "/srv",      "/sys", "/tmp",    "/usr",  "/usr/bin",
    "/usr/lib", "/usr/lib64", "/usr/sbin", "/var", "/var/tmp"};
constexpr std::array<std::string_view, 3> kKernelDirectories{"/dev/", "/proc/", "/sys/"};

}  // namespace

bool IsImageName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameLength && IsPrintableUtf8(name) &&
         name.find('/') == std::string::npos;
}

std::string NormalizedPrefix(const std::string& prefix) {
  std::string normal = std::filesystem::path(prefix).lexically_normal().string();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  while (normal.starts_with("//")) normal.erase(0, 1);
  return normal;
}

std::optional<std::string> WhyNotPrefix(const std::string& prefix) {
  if (!IsPrintableUtf8(prefix)) return "is not printable UTF-8";
  if (!prefix.starts_with('/')) return "is not an absolute path";
  for (const auto& part : std::filesystem::path(prefix)) {
    if (part == "." || part == "..") return "contains '" + part.string() + "'";
  }
  const std::string normal = NormalizedPrefix(prefix);
  if (normal == "/") return "is the root directory, which an image cannot take the place of";
  if (std::find(kHostDirectories.begin(), kHostDirectories.end(), normal) !=
      kHostDirectories.end()) {
    return "is a directory of the host's, which an image would hide from its jobs";
  }
  if (std::any_of(kKernelDirectories.begin(), kKernelDirectories.end(),
                  [&](std::string_view start) { return normal.starts_with(start); })) {
    return "lies in /dev, /proc or /sys, which belong to the kernel";
  }
  return std::nullopt;
}

}  // namespace firn
