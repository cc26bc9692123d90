#include "format/verify.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "format/verify_internal.h"

namespace firn {
namespace {

// Whoever made an image decides how much is wrong with it.
constexpr size_t kMaxFindings = 100'000;
// And how long its paths are: those of a deep tree together could fill any memory.
constexpr size_t kMaxFindingBytes = size_t{64} << 20;

// Damage of mark, footer or core table is a finding like any other, after which nothing else can
// be looked at. That the file is no image at all is an error.
std::optional<Appendix> ReadAppendix(int fd, const std::string& path, VerifyLog& log) {
  try {
    return Appendix::ReadImage(fd, path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamaged || log.report().bytes == 0 ||
        error.offset().value_or(0) == 0) {
      throw;
    }
    log.Add({}, error);
    return std::nullopt;
  }
}

}  // namespace

bool PutInFront(std::string_view directory, std::string& path) {
  if (path.size() + directory.size() >= kLongestShownPath) {
    path.insert(0, "…/");
    return false;
  }
  path.insert(0, std::string(directory) + "/");
  return true;
}

void VerifyLog::Add(std::string path, uint64_t offset, std::string message) {
  const std::lock_guard lock(mutex_);
  finding_bytes_ += path.size() + message.size();
  if (report_.findings.size() >= kMaxFindings || finding_bytes_ > kMaxFindingBytes) {
    ++report_.findings_left_out;
    return;
  }
  report_.findings.push_back({std::move(path), offset, std::move(message)});
}

void VerifyLog::Add(std::string path, const Error& error) {
  if (error.kind() != ErrorKind::kDamaged) throw error;
  Add(std::move(path), error.offset().value_or(0), error.message());
}

std::vector<NamedPaths> VerifyLog::NamedBy(int fd, const Appendix& appendix) const {
  if (!options_.named_paths) return {};
  return options_.named_paths(fd, appendix);
}

bool VerifyLog::IsDamaged(uint64_t offset) const {
  const auto extent = std::ranges::upper_bound(damaged_, ImageOffset{offset}, {}, &Extent::end);
  return extent != damaged_.end() && ToInt(extent->offset) <= offset;
}

void VerifyLog::Expect(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  total_ += bytes;
}

void VerifyLog::Advance(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  done_ += bytes;
  if (options_.progress) options_.progress(done_, total_);
}

VerifyReport Verify(FileDescriptor fd, const std::string& path, const VerifyOptions& options) {
  VerifyReport report;
  report.bytes = FileSize(fd.get());
  VerifyLog log(report, options);
  const std::optional<Appendix> appendix = ReadAppendix(fd.get(), path, log);
  if (!appendix) return report;
  report.id = appendix->id();
  log.Expect(report.bytes);
  VerifySections(fd.get(), *appendix, log);
  VerifyPadding(fd.get(), *appendix, log);
  const bool core_is_good = report.ok();
  VerifySignatures(fd.get(), *appendix, path, log);
  // With a section damaged, what it says of the rest proves nothing.
  if (core_is_good) {
    VerifyExtents(fd.get(), *appendix, log);
    if (options.deep) VerifyDeep(fd.get(), *appendix, log);
    VerifyFiles(std::move(fd), *appendix, log);
  }
  std::ranges::stable_sort(report.findings, {}, &VerifyFinding::offset);
  return report;
}

}  // namespace firn
