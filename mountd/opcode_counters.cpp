#include "mountd/opcode_counters.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace firn {
namespace {

constexpr std::pair<uint32_t, std::string_view> kNames[] = {
    {FUSE_LOOKUP, "LOOKUP"},
    {FUSE_FORGET, "FORGET"},
    {FUSE_GETATTR, "GETATTR"},
    {FUSE_SETATTR, "SETATTR"},
    {FUSE_READLINK, "READLINK"},
    {FUSE_SYMLINK, "SYMLINK"},
    {FUSE_MKNOD, "MKNOD"},
    {FUSE_MKDIR, "MKDIR"},
    {FUSE_UNLINK, "UNLINK"},
    {FUSE_RMDIR, "RMDIR"},
    {FUSE_RENAME, "RENAME"},
    {FUSE_LINK, "LINK"},
    {FUSE_OPEN, "OPEN"},
    {FUSE_READ, "READ"},
    {FUSE_WRITE, "WRITE"},
    {FUSE_STATFS, "STATFS"},
    {FUSE_RELEASE, "RELEASE"},
    {FUSE_FSYNC, "FSYNC"},
    {FUSE_SETXATTR, "SETXATTR"},
    {FUSE_GETXATTR, "GETXATTR"},
    {FUSE_LISTXATTR, "LISTXATTR"},
    {FUSE_REMOVEXATTR, "REMOVEXATTR"},
    {FUSE_FLUSH, "FLUSH"},
    {FUSE_INIT, "INIT"},
    {FUSE_OPENDIR, "OPENDIR"},
    {FUSE_READDIR, "READDIR"},
    {FUSE_RELEASEDIR, "RELEASEDIR"},
    {FUSE_FSYNCDIR, "FSYNCDIR"},
    {FUSE_GETLK, "GETLK"},
    {FUSE_SETLK, "SETLK"},
    {FUSE_SETLKW, "SETLKW"},
    {FUSE_ACCESS, "ACCESS"},
    {FUSE_CREATE, "CREATE"},
    {FUSE_INTERRUPT, "INTERRUPT"},
    {FUSE_BMAP, "BMAP"},
    {FUSE_DESTROY, "DESTROY"},
    {FUSE_IOCTL, "IOCTL"},
    {FUSE_POLL, "POLL"},
    {FUSE_NOTIFY_REPLY, "NOTIFY_REPLY"},
    {FUSE_BATCH_FORGET, "BATCH_FORGET"},
    {FUSE_FALLOCATE, "FALLOCATE"},
    {FUSE_READDIRPLUS, "READDIRPLUS"},
    {FUSE_RENAME2, "RENAME2"},
    {FUSE_LSEEK, "LSEEK"},
    {FUSE_COPY_FILE_RANGE, "COPY_FILE_RANGE"},
    {FUSE_SETUPMAPPING, "SETUPMAPPING"},
    {FUSE_REMOVEMAPPING, "REMOVEMAPPING"},
    {50, "SYNCFS"},   // FUSE_SYNCFS, since protocol 7.34
    {51, "TMPFILE"},  // FUSE_TMPFILE, since 7.37
    {52, "STATX"},    // FUSE_STATX, since 7.39
};

}  // namespace

std::string OpcodeName(size_t opcode) {
  for (const auto& [number, name] : kNames) {
    if (number == opcode) return std::string(name);
  }
  return "OPCODE_" + std::to_string(opcode);
}

void OpcodeCounters::Count(ByteSpan request) {
  if (request.size() < sizeof(fuse_in_header)) {
    malformed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  fuse_in_header header;
  std::memcpy(&header, request.data(), sizeof header);
  counts_[std::min<size_t>(header.opcode, kOther)].fetch_add(1, std::memory_order_relaxed);
}

std::map<std::string, uint64_t> OpcodeCounters::Snapshot() const {
  std::map<std::string, uint64_t> snapshot;
  for (size_t opcode = 0; opcode < kSlots; ++opcode) {
    const uint64_t count = counts_[opcode].load(std::memory_order_relaxed);
    if (count != 0) snapshot[opcode == kOther ? "OTHER" : OpcodeName(opcode)] = count;
  }
  const uint64_t malformed = malformed_.load(std::memory_order_relaxed);
  if (malformed != 0) snapshot["malformed"] = malformed;
  return snapshot;
}

uint64_t OpcodeCounters::Total() const {
  uint64_t total = malformed_.load(std::memory_order_relaxed);
  for (const std::atomic<uint64_t>& count : counts_) {
    total += count.load(std::memory_order_relaxed);
  }
  return total;
}

}  // namespace firn
