// Keys on the disk.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

#include "format/error.h"
#include "format/file.h"
#include "format/key.h"

namespace firn {
namespace {

constexpr size_t kLongestKeyText = 16 * 1024;

FileDescriptor OpenKey(const std::string& path, struct stat* status) {
  // Not to be held by a fifo.
  FileDescriptor file = OpenFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, ErrorKind::kInput);
  if (fstat(file.get(), status) != 0 || !S_ISREG(status->st_mode)) {
    throw Error(ErrorKind::kInput, "expected a key, found something else than a regular file")
        .WithPath(path);
  }
  return file;
}

std::string ReadKeyText(const FileDescriptor& file, const std::string& path) {
  std::string text(kLongestKeyText + 1, '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  if (text.size() <= kLongestKeyText) return text;
  throw Error(ErrorKind::kInput, "expected a key of at most 16 KiB, found a longer file")
      .WithPath(path);
}

// A file that did not exist, and is gone again unless it is kept.
class NewFile {
 public:
  NewFile(std::string path, mode_t mode, const std::string& text) : path_(std::move(path)) {
    file_ = FileDescriptor(
        open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!file_.valid()) {
      throw SystemError(ErrorKind::kOutput, errno, "cannot make the key's file",
                        errno == EEXIST ? "A key is never replaced: choose another name." : "")
          .WithPath(path_);
    }
    try {
      WriteAt(file_.get(), 0, std::as_bytes(std::span(text)));
      if (fsync(file_.get()) != 0) throw SystemError(ErrorKind::kOutput, errno, "cannot write");
    } catch (const Error& error) {
      unlink(path_.c_str());
      throw error.WithPath(path_);
    }
  }
  ~NewFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void Keep() { path_.clear(); }

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace

NamedKey NamedKey::Read(const std::string& path) {
  struct stat status {};
  const FileDescriptor file = OpenKey(path, &status);
  return Parse(ReadKeyText(file, path), path);
}

PrivateKey PrivateKey::Read(const std::string& path, const AskPassphrase& ask) {
  struct stat status {};
  const FileDescriptor file = OpenKey(path, &status);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw Error(ErrorKind::kInput,
                "expected a private key for its owner alone, found one that "
                "others may use too",
                "Take their rights away (chmod 600), and if somebody may have read it, make a new "
                "key ('firn keygen').")
        .WithPath(path);
  }
  return Parse(ReadKeyText(file, path), path, ask);
}

void WriteKeyPair(const PrivateKey& key, std::string_view passphrase, const std::string& path) {
  NewFile private_file(path, 0600, key.ToText(passphrase));
  NewFile public_file(path + ".pub", 0644, key.named().ToText());
  private_file.Keep();
  public_file.Keep();
}

}  // namespace firn
