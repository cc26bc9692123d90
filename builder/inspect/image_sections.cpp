#include "builder/inspect/image_sections.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstddef>
#include <memory>
#include <span>

#include "format/error.h"

namespace firn {
namespace {

constexpr uint64_t kMaxSection = uint64_t{256} << 20;
// Read into memory, JSON takes many times its length.
constexpr uint64_t kMaxJsonSection = uint64_t{16} << 20;
constexpr size_t kMaxLocks = 1000;

Error BadLocks(archive* reader) {
  const char* text = archive_error_string(reader);
  return DamagedError("section locks: expected a tar archive" +
                      (text == nullptr ? std::string() : std::string(": ") + text));
}

// `left`: bytes that the files may still have together.
std::string ReadEntry(archive* reader, uint64_t& left) {
  std::string content;
  char piece[1 << 16];
  for (;;) {
    const la_ssize_t got = archive_read_data(reader, piece, sizeof piece);
    if (got < 0) throw BadLocks(reader);
    if (got == 0) return content;
    if (static_cast<uint64_t>(got) > left) {
      throw DamagedError("section locks: its files have more bytes than it");
    }
    left -= static_cast<uint64_t>(got);
    content.append(piece, static_cast<size_t>(got));
  }
}

}  // namespace

std::optional<std::string> FindTextSection(int fd, const Appendix& appendix,
                                           std::string_view section) {
  if (appendix.core().Find(section) == nullptr) return std::nullopt;
  const bool is_json = section == kPackagesSection || section == kNeedsSection;
  const std::vector<std::byte> bytes =
      appendix.ReadSection(fd, section, is_json ? kMaxJsonSection : kMaxSection);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string ReadTextSection(int fd, const Appendix& appendix, std::string_view section) {
  auto text = FindTextSection(fd, appendix, section);
  if (text) return *std::move(text);
  throw Error(ErrorKind::kUsage, "the image has no section '" + std::string(section) + "'",
              "It was built from a directory as it is, or by an older Firn; 'firn build' of an "
              "environment or a recipe stores it.")
      .WithPath(appendix.path());
}

PackageList ReadPackages(int fd, const Appendix& appendix) {
  try {
    return PackageList::FromJson(ReadTextSection(fd, appendix, kPackagesSection));
  } catch (const Error& error) {
    throw error.WithPath(appendix.path());
  }
}

Needs ReadNeeds(int fd, const Appendix& appendix) {
  try {
    return Needs::FromJson(ReadTextSection(fd, appendix, kNeedsSection));
  } catch (const Error& error) {
    throw error.WithPath(appendix.path());
  }
}

std::vector<StoredLock> ReadLocks(int fd, const Appendix& appendix) {
  const auto archive = FindTextSection(fd, appendix, kLocksSection);
  if (!archive) return {};
  try {
    return ReadLockArchive(*archive);
  } catch (const Error& error) {
    throw error.WithPath(appendix.path());
  }
}

std::vector<StoredLock> ReadLockArchive(std::string_view bytes) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    throw BadLocks(reader.get());
  }
  std::vector<StoredLock> locks;
  // Holes of sparse files would take none of its bytes, and any amount of memory.
  uint64_t left = bytes.size();
  for (;;) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return locks;
    if (result < ARCHIVE_WARN) throw BadLocks(reader.get());
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    if (locks.size() == kMaxLocks) throw DamagedError("section locks: it has too many files");
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) throw DamagedError("section locks: a file has no name");
    std::string content = ReadEntry(reader.get(), left);
    locks.push_back({name, std::move(content)});
  }
}

}  // namespace firn
