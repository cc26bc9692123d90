#include "mountd/placers.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/json_input.h"
#include "mountd/carried_error.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

using nlohmann::json;

constexpr long kMostPlacersOfUser = 8;
constexpr size_t kMostPlacers = 128;

std::string JoinedGroups(const std::vector<gid_t>& groups) {
  std::string text;
  for (const gid_t group : groups) text += (text.empty() ? "" : ",") + std::to_string(group);
  return text;
}

// Throws the Error that the line carries.
uint64_t ParsePlacerAnswer(const std::string& line) {
  const json answer = ParseJsonMessage(line);
  if (answer.is_object() && answer.contains("error")) throw ErrorFromJson(answer["error"]);
  if (answer.is_object() && answer.contains("mount_id")) return answer["mount_id"];
  throw Error(ErrorKind::kSystem, "the process that mounts for users has died",
              "--no-daemon does without it.");
}

}  // namespace

Placers::~Placers() {
  for (const Placer& placer : placers_) kill(placer.pid, SIGKILL);
}

void Placers::Start(PlacerOptions options, Done done) {
  const auto of_user = std::ranges::count_if(
      placers_, [&](const Placer& placer) { return placer.user == options.user.uid; });
  if (of_user >= kMostPlacersOfUser || placers_.size() >= kMostPlacers) {
    throw Error(ErrorKind::kSystem, "too many mounts are under way",
                "The file systems of their directories may hang. Try again later.");
  }
  Pipe answer = MakePipe();
  std::vector<std::string> argv = {
      "/proc/self/exe", "--place-uid=" + std::to_string(options.user.uid),
      "--place-gid=" + std::to_string(options.user.gid), "--place-target=" + options.target,
      "--ready-fd=" + std::to_string(answer.write_end.get())};
  if (!options.user.groups.empty()) {
    argv.push_back("--place-groups=" + JoinedGroups(options.user.groups));
  }
  std::vector<int> inherited = {answer.write_end.get()};
  if (options.view_fd >= 0) {
    argv.push_back("--place-view-fd=" + std::to_string(options.view_fd));
    argv.push_back("--place-target-fd=" + std::to_string(options.target_fd));
    inherited.insert(inherited.end(), {options.view_fd, options.target_fd});
  } else {
    argv.push_back("--place-mount-id=" + std::to_string(options.mount_id));
    if (options.lazy) argv.emplace_back("--place-lazy");
  }
  const pid_t pid = Spawn(argv, {.inherited = std::move(inherited)});
  if (pid < 0) {
    throw SystemError(ErrorKind::kSystem, -pid, "cannot start the process that mounts for users",
                      "--no-daemon does without it.");
  }
  placers_.push_back({pid, options.user.uid, std::move(answer.read_end), std::move(done)});
}

void Placers::AppendPollSet(std::vector<pollfd>& set) const {
  for (const Placer& placer : placers_) set.push_back({placer.answer.get(), POLLIN, 0});
}

void Placers::Handle() {
  for (auto placer = placers_.begin(); placer != placers_.end();) {
    if (!IsReadable(placer->answer.get(), std::chrono::milliseconds(0))) {
      ++placer;
      continue;
    }
    // The answer is its last act, and short enough to be written at once.
    const std::string line = ReadLine(placer->answer.get());
    waitpid(placer->pid, nullptr, 0);
    const Done done = std::move(placer->done);
    placer = placers_.erase(placer);
    try {
      done(ParsePlacerAnswer(line), nullptr);
    } catch (const Error&) {
      done(0, std::current_exception());
    }
  }
}

}  // namespace firn
