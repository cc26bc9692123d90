#ifndef FIRN_MOUNTD_INIT_EXCHANGE_H_
#define FIRN_MOUNTD_INIT_EXCHANGE_H_

#include <sys/uio.h>

#include "format/types.h"
#include "mountd/session_memory.h"

namespace firn {

// How a session's libfuse is brought up: the first worker answers the kernel's FUSE_INIT, which is
// recorded; a later one is given the recorded request, and its answer is compared with the recorded
// one instead of being sent. To be used by one thread, before the others start.
class InitExchange {
 public:
  explicit InitExchange(RecordedInit& recorded) : recorded_(recorded) {}

  // Was it answered by an earlier worker?
  bool IsRecorded() const { return recorded_.reply_length.load() != 0; }
  ByteSpan request() const;
  ByteSpan reply() const;

  // `request` is about to be processed for the first time. Throws kInternal where it is none.
  void StartRecording(ByteSpan request);
  // request() is about to be processed again.
  void StartReplaying();
  // It was processed. Throws kInternal where the answer was missing or not the recorded one.
  void Finish();

  // What libfuse is about to write; false where it is not to be sent.
  bool TakeReply(const iovec* parts, int count);

 private:
  enum class Stage { kIdle, kRecording, kReplaying };

  RecordedInit& recorded_;
  Stage stage_ = Stage::kIdle;
  bool is_right_ = false;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_INIT_EXCHANGE_H_
