#include "format/trusted_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "format/error.h"

namespace firn {
namespace {

constexpr std::string_view kPublicEnding = ".pub";

// Who can put a key there decides what root's programs trust.
void RequireRootsAlone(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    throw SystemError(ErrorKind::kInput, errno, "cannot look at what is to be trusted")
        .WithPath(path);
  }
  if (geteuid() != 0) return;
  if (status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return;
  throw Error(ErrorKind::kInput, "root trusts no keys that others may change",
              "Give it to root and take that right away (chown root, chmod go-w).")
      .WithPath(path);
}

}  // namespace

TrustedKeys TrustedKeys::Load(const std::string& directory) {
  RequireRootsAlone(directory);
  TrustedKeys trusted;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = entry->path().string();
    if (!path.ends_with(kPublicEnding)) continue;
    RequireRootsAlone(path);
    trusted.keys_.push_back({NamedKey::Read(path), path});
  }
  if (error) {
    throw SystemError(ErrorKind::kInput, error.value(), "cannot read the directory of trusted keys")
        .WithPath(directory);
  }
  if (trusted.keys_.empty()) {
    throw Error(ErrorKind::kInput, "expected public keys in files that end in .pub, found none",
                "Copy there the .pub that 'firn keygen' wrote.")
        .WithPath(directory);
  }
  std::ranges::sort(trusted.keys_, [](const TrustedKey& a, const TrustedKey& b) {
    return std::pair(a.named.key, a.path) < std::pair(b.named.key, b.path);
  });
  return trusted;
}

const TrustedKey* TrustedKeys::Find(const PublicKey& key) const {
  const auto found =
      std::ranges::find(keys_, key, [](const TrustedKey& trusted) { return trusted.named.key; });
  return found == keys_.end() ? nullptr : &*found;
}

const TrustedKey* TrustedKeys::SignerOf(const SignatureArea& area, const Digest& image_id) const {
  if (area.image_id != image_id) return nullptr;
  for (const TrustedKey& trusted : keys_) {
    const ImageSignature* const signature = area.Find(trusted.named.key);
    if (signature != nullptr && area.IsRight(*signature)) return &trusted;
  }
  return nullptr;
}

}  // namespace firn
