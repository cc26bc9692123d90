#include "mountd/attached_image.h"

#include <algorithm>
#include <utility>

#include "format/error.h"
#include "mountd/log.h"

namespace firn {

AttachedImage::AttachedImage(SlotNumber slot, std::shared_ptr<const Image> image,
                             unsigned read_ahead_threads, std::atomic<uint64_t>* lookups,
                             FileSystemId file_system, uid_t owner)
    : slot_(slot),
      image_(std::move(image)),
      file_system_(file_system),
      owner_(owner),
      read_ahead_(*image_, read_ahead_threads),
      lookups_(lookups != nullptr ? lookups : &own_lookups_) {}

void AttachedImage::StopSharing(const Error& error) {
  if (!digests_proved_.exchange(false)) return;
  LogError("{} shares no files with other images from now on: {}", image_->path(), error.what());
}

void AttachedImage::SubtractLookups(uint64_t count) {
  uint64_t before = lookups_->load();
  while (!lookups_->compare_exchange_weak(before, before - std::min(before, count))) {
  }
}

}  // namespace firn
