#ifndef FIRN_MOUNTD_LEASE_TABLE_H_
#define FIRN_MOUNTD_LEASE_TABLE_H_

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "format/file.h"
#include "mountd/mount_table.h"

namespace firn {

// What is leased: an image in its slot. The number is never used again.
enum class ShareNumber : uint64_t {};

enum class LeaseKind {
  kProcess,  // as long as the process lives
  kMount,    // as long as the mount is in firnd's mount table
  kName      // until it is ended by its name
};

std::string_view ToString(LeaseKind kind);

// One user of an image.
struct Lease {
  LeaseKind kind = LeaseKind::kProcess;
  ShareNumber share{};
  uid_t holder = 0;
  pid_t pid = 0;           // of who asked
  std::string name;        // of kName; of kMount the mount point
  uint64_t mount_id = 0;   // of kMount
  FileDescriptor process;  // of kProcess: a pidfd
  uint64_t started = 0;    // of kProcess: as of ProcessIdentity
  std::chrono::system_clock::time_point since = std::chrono::system_clock::now();
};

// Who uses which image. To be used by one thread.
class LeaseTable {
 public:
  static constexpr size_t kMostOfUser = 4096;
  static constexpr size_t kLongestName = 255;
  static constexpr size_t kLongestPath = 4096;  // of a mount point

  // More than `most_of_user` of one user, root excepted, are refused.
  explicit LeaseTable(size_t most_of_user = kMostOfUser) : most_of_user_(most_of_user) {}

  // A name that the holder has already for this image is no second lease. Throws kUsage for a name
  // that is empty, too long or has control characters, or belongs to somebody else; kSystem where
  // the user has too many.
  void Add(Lease lease);
  // One that another table had: it is there whatever holds now.
  void Restore(Lease lease) { leases_.push_back(std::move(lease)); }

  // Ends every lease of that name; returns the shares. Throws kUsage where there is none that is
  // `caller`'s (root may end anybody's).
  std::vector<ShareNumber> EndName(const std::string& name, uid_t caller);

  // Ends the leases of mounts that `table` lacks; returns the shares.
  std::vector<ShareNumber> EndMounts(const std::vector<MountEntry>& table);

  // For poll(2): the processes. Ends the leases of those that `set` shows as ended.
  void AppendPollSet(std::vector<pollfd>& set) const;
  std::vector<ShareNumber> EndProcesses(const std::vector<pollfd>& set);

  bool HasLeases(ShareNumber share) const;
  bool HasMounts() const;
  const std::list<Lease>& leases() const { return leases_; }

 private:
  size_t most_of_user_;
  std::list<Lease> leases_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_LEASE_TABLE_H_
