#include "builder/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kReadSize = 1 << 20;
// What an entry brings with it but its bytes and its mode is not taken.
constexpr int kExtractFlags =
    ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT;

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
struct FreeWriter {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Reader = std::unique_ptr<archive, FreeReader>;
using Writer = std::unique_ptr<archive, FreeWriter>;
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

[[noreturn]] void ThrowArchiveError(archive* failed, const std::string& path) {
  const char* text = archive_error_string(failed);
  throw Error(ErrorKind::kInput,
              "cannot be unpacked: " + EscapeForText(text != nullptr ? text : "damaged"),
              "Get another copy of the archive, or look at it with: tar -tvf")
      .WithPath(path);
}

class Unpacker {
 public:
  Unpacker(const std::string& path, const std::string& tree) : path_(path), tree_(tree) {}

  void Unpack(const std::function<void()>& poll);

 private:
  [[noreturn]] void Refuse(const std::string& why) const;
  void CheckName(const std::string& name) const;
  void CheckLink(const std::string& target) const;
  void Take(archive_entry* entry);

  const std::string& path_;
  const std::string& tree_;
  std::string name_;  // of the entry under way
  Reader reader_{archive_read_new()};
  Writer disk_{archive_write_disk_new()};
};

void Unpacker::Refuse(const std::string& why) const {
  throw Error(
      ErrorKind::kInput, "the entry '" + EscapeForText(name_) + "' " + why,
      "An archive of an environment holds it with names relative to its prefix, and nothing "
      "outside of it; make it so, for example with: tar -C PREFIX -czf ARCHIVE .")
      .WithPath(path_);
}

void Unpacker::CheckName(const std::string& name) const {
  if (name.empty()) Refuse("has no name");
  if (name.starts_with('/')) Refuse("has an absolute name");
  for (const auto& part : std::filesystem::path(name)) {
    if (part == "..") Refuse("has '..' in its name");
  }
}

// By its text: what is unpacked later is never written through a symlink, whatever it says.
void Unpacker::CheckLink(const std::string& target) const {
  const std::string inside = tree_ + "/";
  std::string full = target;
  if (!target.starts_with('/')) {
    full = (std::filesystem::path(tree_) / name_).parent_path().string() + "/" + target;
  }
  const std::string normal = std::filesystem::path(full).lexically_normal().string();
  if (!(normal + "/").starts_with(inside)) {
    Refuse("is a link out of the archive, to '" + EscapeForText(target) + "'");
  }
}

void Unpacker::Take(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  name_ = name != nullptr ? name : "";
  CheckName(name_);
  if (const char* link = archive_entry_hardlink(entry)) {
    CheckName(link);
    archive_entry_set_hardlink(entry, (tree_ + "/" + std::string(link)).c_str());
  } else if (archive_entry_filetype(entry) == AE_IFLNK) {
    const char* target = archive_entry_symlink(entry);
    CheckLink(target != nullptr ? target : "");
  } else if (archive_entry_filetype(entry) != AE_IFREG &&
             archive_entry_filetype(entry) != AE_IFDIR) {
    Refuse("is a device node, a socket or a fifo");
  }
  archive_entry_set_pathname(entry, (tree_ + "/" + name_).c_str());
  // A directory that its owner may not write to could not be filled.
  const mode_t at_least = archive_entry_filetype(entry) == AE_IFDIR ? 0700 : 0600;
  archive_entry_set_perm(entry, (archive_entry_perm(entry) & 0777) | at_least);
}

void Unpacker::Unpack(const std::function<void()>& poll) {
  archive_read_support_filter_all(reader_.get());
  archive_read_support_format_tar(reader_.get());
  archive_write_disk_set_options(disk_.get(), kExtractFlags);
  if (archive_read_open_filename(reader_.get(), path_.c_str(), kReadSize) != ARCHIVE_OK) {
    ThrowArchiveError(reader_.get(), path_);
  }
  archive_entry* entry = nullptr;
  for (;;) {
    const int status = archive_read_next_header(reader_.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) ThrowArchiveError(reader_.get(), path_);
    Take(entry);
    if (archive_write_header(disk_.get(), entry) < ARCHIVE_OK) {
      ThrowArchiveError(disk_.get(), path_);
    }
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
      poll();
      const int got = archive_read_data_block(reader_.get(), &block, &size, &offset);
      if (got == ARCHIVE_EOF) break;
      if (got < ARCHIVE_OK) ThrowArchiveError(reader_.get(), path_);
      if (archive_write_data_block(disk_.get(), block, size, offset) < ARCHIVE_OK) {
        ThrowArchiveError(disk_.get(), path_);
      }
    }
    if (archive_write_finish_entry(disk_.get()) < ARCHIVE_OK) ThrowArchiveError(disk_.get(), path_);
  }
  if (archive_write_close(disk_.get()) != ARCHIVE_OK) ThrowArchiveError(disk_.get(), path_);
}

}  // namespace

void UnpackArchive(const std::string& archive, const std::string& tree,
                   const std::function<void()>& poll) {
  Unpacker(archive, tree).Unpack(poll);
}

std::string PackLocks(std::vector<RealisedSource::LockFile> files) {
  std::sort(files.begin(), files.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  size_t capacity = 4096;
  for (const auto& file : files) capacity += file.content.size() + file.name.size() + 4096;
  std::string tar(capacity, '\0');
  size_t used = 0;
  const Writer writer(archive_write_new());
  archive_write_set_format_pax_restricted(writer.get());
  archive_write_set_bytes_per_block(writer.get(), 512);
  archive_write_open_memory(writer.get(), tar.data(), tar.size(), &used);
  for (const auto& file : files) {
    const Entry entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), file.name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    archive_entry_set_mtime(entry.get(), 0, 0);
    const bool written =
        archive_write_header(writer.get(), entry.get()) == ARCHIVE_OK &&
        archive_write_data(writer.get(), file.content.data(), file.content.size()) ==
            static_cast<la_ssize_t>(file.content.size());
    if (!written) {
      throw Error(ErrorKind::kInternal,
                  std::string("cannot pack a lock: ") + archive_error_string(writer.get()))
          .WithPath(file.name);
    }
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) {
    throw Error(ErrorKind::kInternal, "cannot pack the locks");
  }
  tar.resize(used);
  return tar;
}

}  // namespace firn
