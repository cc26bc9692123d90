#include "mountd/init_exchange.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

std::vector<std::byte> Joined(const iovec* parts, int count) {
  std::vector<std::byte> bytes;
  for (const iovec* part = parts; part != parts + count; ++part) {
    const auto* begin = static_cast<const std::byte*>(part->iov_base);
    bytes.insert(bytes.end(), begin, begin + part->iov_len);
  }
  return bytes;
}

uint32_t OpcodeOf(ByteSpan request) {
  fuse_in_header header{};
  if (request.size() >= sizeof header) std::memcpy(&header, request.data(), sizeof header);
  return header.opcode;
}

}  // namespace

ByteSpan InitExchange::request() const {
  return ByteSpan(recorded_.request).first(recorded_.request_length.load());
}

ByteSpan InitExchange::reply() const {
  return ByteSpan(recorded_.reply).first(recorded_.reply_length.load());
}

void InitExchange::StartRecording(ByteSpan request) {
  if (OpcodeOf(request) != FUSE_INIT || request.size() > recorded_.request.size()) {
    throw Error(ErrorKind::kInternal, "expected FUSE_INIT as the kernel's first request, found " +
                                          std::to_string(request.size()) + " bytes of opcode " +
                                          std::to_string(OpcodeOf(request)));
  }
  std::copy(request.begin(), request.end(), recorded_.request.begin());
  recorded_.request_length.store(static_cast<uint32_t>(request.size()));
  stage_ = Stage::kRecording;
}

void InitExchange::StartReplaying() { stage_ = Stage::kReplaying; }

void InitExchange::Finish() {
  stage_ = Stage::kIdle;
  if (is_right_) return;
  throw Error(ErrorKind::kInternal,
              "expected FUSE_INIT to be answered as by the worker before, found another answer",
              "The session was begun by another version of firnd or libfuse: unmount the image and "
              "mount it again.");
}

bool InitExchange::TakeReply(const iovec* parts, int count) {
  if (stage_ == Stage::kIdle) return true;
  const std::vector<std::byte> bytes = Joined(parts, count);
  if (stage_ == Stage::kReplaying) {
    is_right_ = std::ranges::equal(bytes, reply());
    return false;
  }
  if (bytes.size() > recorded_.reply.size()) return false;
  std::copy(bytes.begin(), bytes.end(), recorded_.reply.begin());
  recorded_.reply_length.store(static_cast<uint32_t>(bytes.size()));
  is_right_ = true;
  return true;
}

}  // namespace firn
