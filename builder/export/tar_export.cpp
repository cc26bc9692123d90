#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

#include <memory>
#include <utility>

#include "builder/export/image_walk.h"
#include "builder/export/tree_export.h"
#include "builder/export/whole_image.h"
#include "format/error.h"

namespace firn {
namespace {

using ArchiveEntry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

class TarWriter final : public ImageVisitor {
 public:
  TarWriter(const Image& image, int fd, TarFilter filter)
      : image_(image), archive_(archive_write_new(), archive_write_free) {
    // GNU's variant takes names as the bytes that they are.
    Check(archive_write_set_format_gnutar(archive_.get()));
    AddFilter(filter);
    // No padding by what sort of file the descriptor is.
    Check(archive_write_set_bytes_in_last_block(archive_.get(), 1));
    Check(archive_write_open_fd(archive_.get(), fd));
  }

  void Enter(const ImageEntry& directory) override {
    ++exported_.directories;
    if (!directory.path.empty()) WriteHeader(EntryOf(directory));
  }
  void Leave(const ImageEntry&) override {}

  void Take(const ImageEntry& entry) override {
    if (entry.inode.type == FileType::kSocket) {  // tar has no such thing
      ++exported_.skipped;
      return;
    }
    const ArchiveEntry header = EntryOf(entry);
    const bool has_content = entry.inode.IsRegular() && entry.linked.empty();
    if (!entry.linked.empty()) {
      archive_entry_set_hardlink(header.get(), entry.linked.c_str());
    } else if (entry.inode.IsSymlink()) {
      archive_entry_set_symlink(header.get(), image_.ReadLink(entry.inode).c_str());
    } else if (has_content) {
      archive_entry_set_size(header.get(), static_cast<la_int64_t>(entry.inode.size));
    } else {
      const uint32_t device = entry.inode.device;
      archive_entry_set_rdev(header.get(), makedev((device >> 8) & 0xFFF,
                                                   (device & 0xFF) | ((device >> 12) & 0xFFF00)));
    }
    WriteHeader(header);
    if (has_content) WriteContent(entry);
    exported_.files += entry.inode.IsRegular() ? 1 : 0;
    exported_.symlinks += entry.inode.IsSymlink() ? 1 : 0;
  }

  ExportedTree Finish() {
    Check(archive_write_close(archive_.get()));
    return exported_;
  }

 private:
  void Check(int result) const {
    if (result == ARCHIVE_OK) return;
    const char* text = archive_error_string(archive_.get());
    throw Error(ErrorKind::kOutput,
                "cannot write the archive" + (text == nullptr ? "" : std::string(": ") + text),
                "Check where the output leads: a full disk, or a pipe that nobody reads.");
  }

  void AddFilter(TarFilter filter) const {
    switch (filter) {
      case TarFilter::kNone:
        return;
      case TarFilter::kGzip:
        Check(archive_write_add_filter_gzip(archive_.get()));
        Check(archive_write_set_filter_option(archive_.get(), "gzip", "timestamp", nullptr));
        return;
      case TarFilter::kXz:
        return Check(archive_write_add_filter_xz(archive_.get()));
      case TarFilter::kZstd:
        return Check(archive_write_add_filter_zstd(archive_.get()));
    }
  }

  static ArchiveEntry EntryOf(const ImageEntry& entry) {
    ArchiveEntry header(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(header.get(), entry.path.c_str());
    archive_entry_set_mode(header.get(), entry.inode.mode);
    archive_entry_set_uid(header.get(), entry.inode.uid);
    archive_entry_set_gid(header.get(), entry.inode.gid);
    archive_entry_set_mtime(header.get(), entry.inode.mtime, 0);
    return header;
  }

  void WriteHeader(const ArchiveEntry& header) const {
    Check(archive_write_header(archive_.get(), header.get()));
  }

  void WriteContent(const ImageEntry& entry) const {
    ReadContent(image_, entry.inode, [&](uint64_t, ByteSpan bytes, bool) {
      const la_ssize_t put = archive_write_data(archive_.get(), bytes.data(), bytes.size());
      Check(put == static_cast<la_ssize_t>(bytes.size()) ? ARCHIVE_OK : ARCHIVE_FATAL);
    });
  }

  const Image& image_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
  ExportedTree exported_;
};

}  // namespace

ExportedTree ExportTar(const Image& image, int fd, TarFilter filter,
                       const std::function<void()>& poll) {
  CheckIsWhole(image);
  TarWriter writer(image, fd, filter);
  WalkImage(image, writer, poll);
  return writer.Finish();
}

}  // namespace firn
