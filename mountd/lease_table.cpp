#include "mountd/lease_table.h"

#include <algorithm>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

void CheckLeaseName(const std::string& name) {
  const bool is_printable =
      std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!name.empty() && name.size() <= LeaseTable::kLongestName && is_printable) return;
  throw Error(ErrorKind::kUsage,
              "expected a lease name of 1 to " + std::to_string(LeaseTable::kLongestName) +
                  " bytes without control characters, found one of " + std::to_string(name.size()),
              "Choose a name such as job-4711.");
}

// Takes out what `has_ended` names; returns whose they were.
template <typename HasEnded>
std::vector<ShareNumber> TakeOut(std::list<Lease>& leases, const HasEnded& has_ended) {
  std::vector<ShareNumber> shares;
  leases.remove_if([&](const Lease& lease) {
    if (!has_ended(lease)) return false;
    shares.push_back(lease.share);
    return true;
  });
  return shares;
}

}  // namespace

std::string_view ToString(LeaseKind kind) {
  switch (kind) {
    case LeaseKind::kProcess:
      return "process";
    case LeaseKind::kMount:
      return "mount";
    case LeaseKind::kName:
      return "name";
  }
  return "process";
}

void LeaseTable::Add(Lease lease) {
  if (lease.kind == LeaseKind::kName) {
    CheckLeaseName(lease.name);
    for (const Lease& other : leases_) {
      if (other.kind != LeaseKind::kName || other.name != lease.name) continue;
      if (other.holder != lease.holder) {
        throw Error(ErrorKind::kUsage, "the lease '" + lease.name + "' is another user's",
                    "Choose another name.");
      }
      if (other.share == lease.share) return;
    }
  }
  if (lease.name.size() > kLongestPath) {
    throw Error(ErrorKind::kUsage, "expected a mount point of at most " +
                                       std::to_string(kLongestPath) + " bytes, found one of " +
                                       std::to_string(lease.name.size()));
  }
  const auto held = std::count_if(leases_.begin(), leases_.end(),
                                  [&](const Lease& other) { return other.holder == lease.holder; });
  if (lease.holder != 0 && static_cast<size_t>(held) >= most_of_user_) {
    throw Error(ErrorKind::kSystem,
                "uid " + std::to_string(lease.holder) + " holds " + std::to_string(held) +
                    " leases, as many as a user may (limits: leases_per_user in firnd.yaml)",
                "End some ('firn detach --lease NAME', or the processes that hold them).");
  }
  leases_.push_back(std::move(lease));
}

std::vector<ShareNumber> LeaseTable::EndName(const std::string& name, uid_t caller) {
  bool is_another_users = false;
  std::vector<ShareNumber> shares = TakeOut(leases_, [&](const Lease& lease) {
    if (lease.kind != LeaseKind::kName || lease.name != name) return false;
    is_another_users = caller != 0 && lease.holder != caller;
    return !is_another_users;
  });
  if (!shares.empty()) return shares;
  throw Error(ErrorKind::kUsage,
              is_another_users ? "the lease '" + name + "' is another user's"
                               : "there is no lease '" + name + "'",
              "'firn status' lists the leases that you hold.");
}

std::vector<ShareNumber> LeaseTable::EndMounts(const std::vector<MountEntry>& table) {
  return TakeOut(leases_, [&](const Lease& lease) {
    return lease.kind == LeaseKind::kMount &&
           std::none_of(table.begin(), table.end(),
                        [&](const MountEntry& entry) { return entry.id == lease.mount_id; });
  });
}

void LeaseTable::AppendPollSet(std::vector<pollfd>& set) const {
  for (const Lease& lease : leases_) {
    if (lease.process.valid()) set.push_back({lease.process.get(), POLLIN, 0});
  }
}

std::vector<ShareNumber> LeaseTable::EndProcesses(const std::vector<pollfd>& set) {
  std::vector<int> ended;
  for (const pollfd& entry : set) {
    if (entry.fd >= 0 && entry.revents != 0) ended.push_back(entry.fd);
  }
  if (ended.empty()) return {};
  std::sort(ended.begin(), ended.end());
  return TakeOut(leases_, [&](const Lease& lease) {
    return lease.process.valid() &&
           std::binary_search(ended.begin(), ended.end(), lease.process.get());
  });
}

bool LeaseTable::HasLeases(ShareNumber share) const {
  return std::any_of(leases_.begin(), leases_.end(),
                     [&](const Lease& lease) { return lease.share == share; });
}

bool LeaseTable::HasMounts() const {
  return std::any_of(leases_.begin(), leases_.end(),
                     [](const Lease& lease) { return lease.kind == LeaseKind::kMount; });
}

}  // namespace firn
