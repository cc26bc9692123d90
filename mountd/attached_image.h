#ifndef FIRN_MOUNTD_ATTACHED_IMAGE_H_
#define FIRN_MOUNTD_ATTACHED_IMAGE_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "format/image.h"
#include "mountd/error_log.h"
#include "mountd/read_ahead.h"

namespace firn {

// An attached image's place in a session, from 1; never used again in the session's life.
enum class SlotNumber : uint32_t {};

// Names the file system that an image file lies on, as st_dev does.
enum class FileSystemId : uint64_t {};

// An image in a slot. Thread-safe.
class AttachedImage {
 public:
  // `lookups` counts the references that the kernel has to node ids of this slot. Given, it lies
  // where it outlives this process, and this object (memory that others share, so it is one word
  // that no lock guards); otherwise the count lives and dies with this object.
  AttachedImage(SlotNumber slot, std::shared_ptr<const Image> image, unsigned read_ahead_threads,
                std::atomic<uint64_t>* lookups = nullptr, FileSystemId file_system = {},
                uid_t owner = 0);
  AttachedImage(const AttachedImage&) = delete;
  AttachedImage& operator=(const AttachedImage&) = delete;

  SlotNumber slot() const { return slot_; }
  const Image& image() const { return *image_; }
  ReadAhead& read_ahead() { return read_ahead_; }
  // Its share of what is logged of failed requests.
  ErrorLog& error_log() { return error_log_; }
  FileSystemId file_system() const { return file_system_; }

  // May its files share node ids with those of others? Set where the image's section digests is
  // known to be true: its id is signed by a trusted key, or every digest was compared with the
  // contents and the section's index is in order. May be set at any time while it is served.
  void SetDigestsProved(bool proved) { digests_proved_.store(proved); }
  bool MayShare() const { return digests_proved_.load() && !image_->foreign(); }
  // May its files be read from that image: not where one would have to wait for a file system that
  // holds only the other, nor from a file that somebody else could cut short. Root's may be.
  bool MayShareWith(const AttachedImage& other) const {
    return MayShare() && other.MayShare() && file_system_ == other.file_system_ &&
           (other.owner_ == owner_ || other.owner_ == 0);
  }
  // Nothing is shared from now on, as section digests cannot be read; logged once.
  void StopSharing(const Error& error);

  uint64_t lookups() const { return lookups_->load(); }
  void AddLookups(uint64_t count) { lookups_->fetch_add(count); }
  // Not below 0: counts that a dead process kept may be wrong.
  void SubtractLookups(uint64_t count);

 private:
  const SlotNumber slot_;
  const std::shared_ptr<const Image> image_;
  const FileSystemId file_system_;
  const uid_t owner_;  // of the image file
  ReadAhead read_ahead_;
  ErrorLog error_log_;
  std::atomic<bool> digests_proved_{false};
  std::atomic<uint64_t> own_lookups_{0};
  std::atomic<uint64_t>* const lookups_;
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);

// For an image that somebody else owns, and keeps longer than the session.
inline std::shared_ptr<const Image> Borrowed(const Image& image) {
  return {std::shared_ptr<const Image>(), &image};
}

}  // namespace firn

#endif  // FIRN_MOUNTD_ATTACHED_IMAGE_H_
