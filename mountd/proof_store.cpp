#include "mountd/proof_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/file.h"
#include "mountd/log.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr int kProofsVersion = 1;
// Of more than ten times the entries that are ever written.
constexpr uint64_t kMostProofBytes = uint64_t{16} << 20;

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

void RequireOwnAlone(const FileDescriptor& file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error(ErrorKind::kSystem,
                "expected a file that nobody but uid " + std::to_string(geteuid()) +
                    " may write to, found another",
                "Remove it: it is written anew.");
  }
}

void WriteOwnFile(const std::string& path, const std::string& text) {
  std::error_code ignored;  // the file that cannot be made says why
  fs::create_directories(fs::path(path).parent_path(), ignored);
  OutputFile output(path, /*replace=*/true);
  if (fchmod(output.fd(), 0600) != 0) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot set the mode of the file");
  }
  WriteAt(output.fd(), 0, std::as_bytes(std::span(text)));
  output.Commit();
}

}  // namespace

std::string StateDirectory() {
  if (const char* given = std::getenv("STATE_DIRECTORY"); given != nullptr && *given == '/') {
    const std::string list = given;  // one for each that the unit names, separated by ':'
    return list.substr(0, list.find(':'));
  }
  if (geteuid() == 0) return "/var/lib/firn";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::string(state) + "/firn";
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.local/state/firn" : std::string();
}

ProofStore::ProofStore(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  try {
    Load();
  } catch (const Error& error) {
    proofs_.clear();
    LogWarning("{}: images are proved anew", error.WithPath(path_).what());
  } catch (const nlohmann::json::exception& error) {
    proofs_.clear();
    LogWarning("{}: not what firnd wrote ({}): images are proved anew", path_, error.what());
  }
}

ProofStore::~ProofStore() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

ProofStore::Proof ProofStore::ProofOf(std::string_view image_id, const struct stat& file) {
  return {.image_id = std::string(image_id),
          .device = file.st_dev,
          .inode = file.st_ino,
          .size = static_cast<uint64_t>(file.st_size),
          .modified = Nanoseconds(file.st_mtim),
          .changed = Nanoseconds(file.st_ctim)};
}

void ProofStore::Load() {
  const FileDescriptor file(open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) {
    if (errno == ENOENT) return;
    throw SystemError(ErrorKind::kSystem, errno, "cannot read which images were proved");
  }
  RequireOwnAlone(file);
  if (FileSize(file.get()) > kMostProofBytes) {
    throw Error(ErrorKind::kSystem, "is longer than 16 MiB", "Remove it: it is written anew.");
  }
  std::string text(FileSize(file.get()), '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  const nlohmann::json root = nlohmann::json::parse(text);
  if (root.at("version") != kProofsVersion) return;  // of another firnd, which knew otherwise
  for (const nlohmann::json& entry : root.at("proofs")) {
    if (proofs_.size() == kMostProofs) break;
    proofs_.push_back({.image_id = entry.at("id"),
                       .device = entry.at("device"),
                       .inode = entry.at("inode"),
                       .size = entry.at("size"),
                       .modified = entry.at("modified"),
                       .changed = entry.at("changed")});
  }
}

std::string ProofStore::ToText() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Proof& proof : proofs_) {
    list.push_back({{"id", proof.image_id},
                    {"device", proof.device},
                    {"inode", proof.inode},
                    {"size", proof.size},
                    {"modified", proof.modified},
                    {"changed", proof.changed}});
  }
  return nlohmann::json{{"version", kProofsVersion}, {"proofs", std::move(list)}}.dump() + "\n";
}

void ProofStore::WriteWhatComes() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || to_write_; });
    if (!to_write_) return;
    const std::string text = *std::exchange(to_write_, std::nullopt);
    lock.unlock();
    try {
      WriteOwnFile(path_, text);
    } catch (const Error& error) {
      LogWarning("cannot remember that an image was proved: {}", error.WithPath(path_).what());
    }
    lock.lock();
  }
}

bool ProofStore::Has(std::string_view image_id, const struct stat& file) const {
  return std::ranges::find(proofs_, ProofOf(image_id, file)) != proofs_.end();
}

void ProofStore::Add(std::string_view image_id, const struct stat& file) {
  if (Has(image_id, file)) return;
  if (proofs_.size() == kMostProofs) proofs_.pop_front();
  proofs_.push_back(ProofOf(image_id, file));
  if (path_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    to_write_ = ToText();
  }
  changed_.notify_all();
  if (!writer_.joinable()) writer_ = std::thread([this] { WriteWhatComes(); });
}

}  // namespace firn
