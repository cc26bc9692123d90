#include "mountd/mount_list.h"

#include <algorithm>
#include <utility>

#include "mountd/control_client.h"
#include "mountd/mount_point.h"
#include "mountd/mount_table.h"

namespace firn {

std::vector<MountedImage> ListMountedImages(const std::optional<std::string>& directory) {
  std::vector<MountedImage> images;
  for (SessionStatus& session : ListSessions()) {
    images.push_back({session.mount_point, session.image, std::move(session)});
  }
  for (const MountEntry& entry : ReadMountTable()) {
    if (!entry.IsFirn()) continue;
    const bool is_served = std::any_of(images.begin(), images.end(), [&](const auto& image) {
      return image.mount_point == entry.target;
    });
    // One that is alive without a session that we see is another user's.
    if (is_served || !IsStaleMount(entry.target)) continue;
    images.push_back({entry.target, entry.FirnImage(), std::nullopt});
  }
  if (directory) {
    const std::string target = ResolveMountTarget(*directory);
    std::erase_if(images, [&](const auto& image) { return image.mount_point != target; });
  }
  return images;
}

}  // namespace firn
