#ifndef FIRN_FORMAT_VERIFY_INTERNAL_H_
#define FIRN_FORMAT_VERIFY_INTERNAL_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "format/appendix.h"
#include "format/error.h"
#include "format/layout.h"
#include "format/verify.h"

// The steps of Verify().
namespace firn {

// Paths are shown up to this length, their end: a hostile tree may be as deep as it has
// directories.
inline constexpr size_t kLongestShownPath = 4096;

// Puts a directory's name in front of a path. False where the path is as long as it may be; then it
// begins with "…/".
bool PutInFront(std::string_view directory, std::string& path);

// What is read of tables that hostile images may have read again and again: no more in all than
// they can hold.
class ReadBudget {
 public:
  explicit ReadBudget(uint64_t most) : left_(most) {}
  // False where that would be more than is left, of which nothing is taken then.
  bool Take(uint64_t count) {
    if (count > left_) return false;
    left_ -= count;
    return true;
  }

 private:
  uint64_t left_;
};

// Collects findings and progress from several threads.
class VerifyLog {
 public:
  VerifyLog(VerifyReport& report, const VerifyOptions& options)
      : report_(report), options_(options) {}

  void Add(std::string path, uint64_t offset, std::string message);
  // A damage that was met while reading; `path` in the image may be empty.
  void Add(std::string path, const Error& error);
  void Expect(uint64_t bytes);
  void Advance(uint64_t bytes);
  unsigned jobs() const { return options_.jobs; }
  bool deep() const { return options_.deep; }
  std::vector<NamedPaths> NamedBy(int fd, const Appendix& appendix) const;
  // The damaged extents, in their order, once they are known. Not thread-safe.
  void SetDamaged(std::vector<Extent> damaged) { damaged_ = std::move(damaged); }
  const std::vector<Extent>& damaged() const { return damaged_; }
  // Does the byte at this offset lie in one of them?
  bool IsDamaged(uint64_t offset) const;
  VerifyReport& report() { return report_; }

 private:
  std::mutex mutex_;
  VerifyReport& report_;
  const VerifyOptions& options_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  uint64_t finding_bytes_ = 0;
  std::vector<Extent> damaged_;
};

// Every page of every section.
void VerifySections(int fd, const Appendix& appendix, VerifyLog& log);
// The bytes that no table names: are they zero?
void VerifyPadding(int fd, const Appendix& appendix, VerifyLog& log);
// Are the signatures over this image, and by the keys that they name?
void VerifySignatures(int fd, const Appendix& appendix, const std::string& path, VerifyLog& log);
// Does the extent have both of its hashes? `scratch` is room to read it into.
bool IsIntact(int fd, const Extent& extent, std::vector<std::byte>& scratch);
// The tiling and every extent. Leaves those that are damaged in log.damaged(), and no finding yet.
void VerifyExtents(int fd, const Appendix& appendix, VerifyLog& log);
// Each structure of the file system; verify_deep.h has the steps.
void VerifyDeep(int fd, const Appendix& appendix, VerifyLog& log);
// Walks the tree, logs the damaged extents by the files that they belong to, then checks the
// content of every other file against its digest.
void VerifyFiles(FileDescriptor fd, const Appendix& appendix, VerifyLog& log);

}  // namespace firn

#endif  // FIRN_FORMAT_VERIFY_INTERNAL_H_
