#include "builder/rules/file_search.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <thread>

#include "builder/rules/path_text.h"
#include "format/file.h"
#include "format/parallel.h"

namespace firn {
namespace {

constexpr size_t kPiece = size_t{1} << 20;
// Seen around a path to tell whether it is a whole one.
constexpr size_t kSurroundings = 4096;

// Reads a file piece by piece. Pieces overlap: a path is judged where what surrounds it is there.
std::vector<size_t> SearchFile(const std::string& name, const std::vector<std::string>& paths,
                               std::string& buffer) {
  std::vector<size_t> found;
  const FileDescriptor fd(
      open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return found;
  buffer.resize(kPiece + 2 * kSurroundings);
  uint64_t offset = 0;
  while (found.size() < paths.size()) {
    const size_t got = ReadAt(fd.get(), offset, std::as_writable_bytes(std::span(buffer)));
    const std::string_view text(buffer.data(), got);
    const size_t first = offset > 0 ? kSurroundings : 0;
    const size_t last = got < buffer.size() ? got : kPiece + kSurroundings;
    for (size_t i = 0; i < paths.size(); ++i) {
      if (std::find(found.begin(), found.end(), i) != found.end()) continue;
      // memmem is many times as fast as string_view's find.
      if (memmem(text.data(), text.size(), paths[i].data(), paths[i].size()) == nullptr) continue;
      if (FindPath(text, paths[i], first) < last) found.push_back(i);
    }
    if (got < buffer.size()) break;
    offset += kPiece;
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::vector<FileHit> SearchFiles(RuleWork& work, const std::vector<std::string>& paths) {
  const std::vector<TreeEntry> files =
      work.Files([](const TreeEntry& file) { return !file.path.ends_with(".pyc"); });
  std::vector<std::vector<size_t>> found(files.size());
  const std::thread::id main_thread = std::this_thread::get_id();
  constexpr uint64_t kBatch = 16;
  ParallelFor(work.tree().jobs, (files.size() + kBatch - 1) / kBatch, [&](uint64_t batch) {
    std::string buffer;
    const uint64_t end = std::min<uint64_t>(files.size(), (batch + 1) * kBatch);
    for (uint64_t i = batch * kBatch; i < end; ++i) {
      if (std::this_thread::get_id() == main_thread) work.tree().poll();
      found[i] = SearchFile(work.At(files[i].path), paths, buffer);
    }
  });
  std::vector<FileHit> hits;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!found[i].empty()) hits.push_back({files[i], std::move(found[i])});
  }
  return hits;
}

}  // namespace firn
