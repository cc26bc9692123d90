#include "mountd/job_identity.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <span>
#include <vector>

#include "format/digest.h"

namespace firn {
namespace {

constexpr size_t kKeyDigits = 16;

// The last ones tell the tasks of an array, which share the number before them.
constexpr const char* kJobVariables[] = {
    "SLURM_JOB_ID", "SLURM_STEP_ID", "PBS_JOBID",    "LSB_JOBID",   "JOB_ID",       "FLUX_JOB_ID",
    "OAR_JOB_ID",   "COBALT_JOBID",  "LSB_JOBINDEX", "SGE_TASK_ID", "CONDOR_JOB_ID"};

std::string ReadText(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string_view> Components(std::string_view path) {
  std::vector<std::string_view> components;
  while (!path.empty()) {
    const size_t end = path.find('/');
    components.push_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return components;
}

// How many components of a cgroup's path name what is ended as a whole.
size_t LengthOfUnit(const std::vector<std::string_view>& components) {
  size_t unit = components.size();
  bool is_in_unit = false;
  for (size_t i = 0; i < components.size(); ++i) {
    const std::string_view name = components[i];
    if (i > 0 && name.starts_with("step_") && components[i - 1].starts_with("job_")) return i + 1;
    if (name.ends_with(".scope") || name.ends_with(".service")) {
      unit = i + 1;
      is_in_unit = true;
    }
  }
  return is_in_unit ? unit : components.size();
}

std::string CutToUnit(std::string_view path) {
  const std::vector<std::string_view> components = Components(path);
  std::string cut;
  for (const std::string_view name : std::span(components).first(LengthOfUnit(components))) {
    if (!name.empty()) cut.append("/").append(name);
  }
  return cut;
}

// Namespaces whose processes end with their first one, or that hide where a cgroup's path begins.
std::string NamespacesOfJob() {
  std::string numbers;
  for (const char* path : {"/proc/self/ns/pid", "/proc/self/ns/cgroup"}) {
    struct stat status {};
    if (stat(path, &status) == 0) numbers += std::to_string(status.st_ino) + "\n";
  }
  return numbers;
}

}  // namespace

std::string CgroupsOfJob(std::string_view proc_self_cgroup) {
  std::set<std::string> units;
  while (!proc_self_cgroup.empty()) {
    const size_t end = proc_self_cgroup.find('\n');
    std::string_view line = proc_self_cgroup.substr(0, end);
    proc_self_cgroup.remove_prefix(end == std::string_view::npos ? proc_self_cgroup.size()
                                                                 : end + 1);
    // "NUMBER:CONTROLLERS:PATH"; a name among the controllers may hold no colon.
    for (int colons = 0; colons < 2; ++colons) {
      const size_t colon = line.find(':');
      line.remove_prefix(colon == std::string_view::npos ? line.size() : colon + 1);
    }
    if (std::string unit = CutToUnit(line); !unit.empty()) units.insert(std::move(unit));
  }
  std::string text;
  for (const std::string& unit : units) text += unit + "\n";
  return text;
}

std::string VariablesOfJob(const std::function<const char*(const char*)>& value_of) {
  std::string text;
  for (const char* name : kJobVariables) {
    if (const char* value = value_of(name)) text += std::string(name) + "=" + value + "\n";
  }
  return text;
}

std::string OwnJobKey() {
  const std::string text = ReadText("/proc/sys/kernel/random/boot_id") +
                           CgroupsOfJob(ReadText("/proc/self/cgroup")) + NamespacesOfJob() +
                           VariablesOfJob([](const char* name) { return std::getenv(name); });
  return ToHex(Sha256Of(std::as_bytes(std::span(text)))).substr(0, kKeyDigits);
}

}  // namespace firn
