#ifndef FIRN_MOUNTD_JOB_VIEW_H_
#define FIRN_MOUNTD_JOB_VIEW_H_

#include <string>
#include <vector>

#include "format/file.h"
#include "mountd/launch.h"
#include "mountd/node_client.h"

namespace firn {

struct JobImage {
  FileDescriptor fd;     // opened for reading
  std::string name;      // absolute path, for messages and the mount table
  std::string prefix;    // where the job sees it
  bool foreign = false;  // a SquashFS file without an appendix
  // What differs from the image before it in the list, which has the same prefix: the two are shown
  // there as one.
  bool is_layer = false;
};

// Is no image shown over the one of that index, as a layer?
bool IsTopmost(const std::vector<JobImage>& images, size_t index);

// Throws kUsage where the images cannot be shown together at their prefixes, in this order: one
// would hide another.
void CheckPrefixes(const std::vector<JobImage>& images);

// Moves the calling process into namespaces of its own (EnterJobNamespace) in which each image is
// shown at its prefix, served by a firnd that stays outside and ends when the last process of the
// namespace does. Keeps the working directory, by its path where the old one is now covered.
// Leaves no child process, no open descriptor without close-on-exec, and signals as they were.
//
// `options` hold for the session of each image; whether it is foreign says the image.
//
// Needs a process with one thread. After an Error the process may be in the new namespaces
// already: nothing is left to it but to exit.
void EnterJobView(const std::vector<JobImage>& images, const LaunchOptions& options);

// A view of each image and those it is a layer over, in the order of the topmost ones, which the
// calling process leases as long as it lives. Throws what firnd
// answers; the process is where it was then.
std::vector<AttachedView> AttachViews(const std::vector<JobImage>& images, NodeClient& node,
                                      bool prefetch);

// EnterJobView() with such views.
void EnterNodeView(const std::vector<JobImage>& images, const std::vector<AttachedView>& views);

// Replaces the calling process by `command` (not empty), looked up in PATH. Returns only where that
// fails: the errno.
int ExecuteCommand(const std::vector<std::string>& command);

}  // namespace firn

#endif  // FIRN_MOUNTD_JOB_VIEW_H_
