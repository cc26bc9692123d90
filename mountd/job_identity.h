#ifndef FIRN_MOUNTD_JOB_IDENTITY_H_
#define FIRN_MOUNTD_JOB_IDENTITY_H_

#include <functional>
#include <string>
#include <string_view>

namespace firn {

// The cgroups of /proc/self/cgroup's text whose processes are ended together, sorted, one a line:
// each cut behind the job step where Slurm made it (job_N/step_N), else behind the last scope or
// service of systemd's, else whole.
std::string CgroupsOfJob(std::string_view proc_self_cgroup);

// What the variables of batch systems say of the job, one a line. `value_of` gives a variable's
// value, or nullptr.
std::string VariablesOfJob(const std::function<const char*(const char*)>& value_of);

// A name, of hexadecimal digits, for the unit that the resource manager of this machine ends as a
// whole and in which the caller runs: the same for every process of it, another one for others,
// and on other machines.
std::string OwnJobKey();

}  // namespace firn

#endif  // FIRN_MOUNTD_JOB_IDENTITY_H_
