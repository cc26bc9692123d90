#include "mountd/keeper_exec.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "mountd/json_line.h"
#include "mountd/privileges.h"
#include "mountd/state_file.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr std::chrono::milliseconds kCheckTimeout{10'000};
constexpr size_t kLongestRefusal = 4096;

// The command line of this process, without what held for its start alone.
std::vector<std::string> OwnArguments() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  bool is_value = false;
  for (std::string argument; std::getline(file, argument, '\0');) {
    constexpr std::string_view kReady = "--ready-fd";
    if (std::exchange(is_value, argument == kReady) || is_value) continue;
    if (!argument.starts_with(std::string(kReady) + "=")) arguments.push_back(argument);
  }
  return arguments;
}

StateFile WriteEstate(const Estate& estate) {
  nlohmann::json document = estate.document;
  document["descriptors"] = estate.descriptors;
  StateFile state;
  state.Write(JsonLine(document));
  return state;
}

// Those of an estate, which stay open at exec as long as this lives.
class OpenAtExec {
 public:
  explicit OpenAtExec(std::vector<int> descriptors) : descriptors_(std::move(descriptors)) {
    for (const int fd : descriptors_) fcntl(fd, F_SETFD, 0);
  }
  ~OpenAtExec() {
    for (const int fd : descriptors_) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  OpenAtExec(const OpenAtExec&) = delete;
  OpenAtExec& operator=(const OpenAtExec&) = delete;

 private:
  const std::vector<int> descriptors_;
};

// Has the process in the directory, where there is such a one, as long as this lives.
class WorkingIn {
 public:
  explicit WorkingIn(const std::string& directory) : before_(std::filesystem::current_path()) {
    Enter(directory);
  }
  ~WorkingIn() { Enter(before_); }
  WorkingIn(const WorkingIn&) = delete;
  WorkingIn& operator=(const WorkingIn&) = delete;

 private:
  static void Enter(const std::filesystem::path& directory) {
    std::error_code ignored;
    std::filesystem::current_path(directory, ignored);
  }

  const std::filesystem::path before_;
};

std::vector<char*> ArgumentPointers(std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string ProgramOnDisk() {
  std::error_code ignored;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

void CheckSuccessor(const Estate& estate, const std::string& directory) {
  const std::string program = ProgramOnDisk();
  const StateFile state = WriteEstate(estate);
  Pipe errors = MakePipe();
  std::vector<std::string> arguments = OwnArguments();
  arguments.front() = program;
  arguments.push_back("--check-state-fd=" + std::to_string(state.fd()));
  const WorkingIn working(directory);
  const pid_t pid =
      Spawn(arguments, {.inherited = {state.fd()}, .stderr_fd = errors.write_end.get()});
  errors.write_end.Close();
  if (pid < 0) {
    throw SystemError(ErrorKind::kNoReply, -pid, "cannot start the program that is to take over",
                      "firnd goes on as it was.")
        .WithPath(program);
  }
  // It says little, so that all of it has room in the pipe.
  const FileDescriptor process = OpenProcess(pid);
  const bool has_ended = process.valid() && IsReadable(process.get(), kCheckTimeout);
  if (!has_ended) kill(pid, SIGKILL);
  const int exit_code = WaitForExit(pid);
  if (exit_code == 0) return;
  const std::string refusal = has_ended ? ReadAll(errors.read_end.get(), kLongestRefusal)
                                        : std::string("it did not answer in time");
  throw Error(ErrorKind::kNoReply,
              "the program on disk cannot take over (exit code " + std::to_string(exit_code) +
                  "): " + refusal.substr(0, refusal.find_last_not_of('\n') + 1),
              "firnd goes on as it was.")
      .WithPath(program);
}

void ExecSuccessor(Estate estate, const std::string& directory) {
  const std::string program = ProgramOnDisk();
  const StateFile state = WriteEstate(estate);
  std::vector<int> descriptors = {state.fd()};
  for (const auto& [name, fd] : estate.descriptors) descriptors.push_back(fd);
  const OpenAtExec open(std::move(descriptors));
  const CapabilitiesOverExec capabilities;
  const WorkingIn working(directory);
  setenv(Inheritance::kStateVariable, std::to_string(state.fd()).c_str(), 1);
  std::vector<std::string> arguments = OwnArguments();
  execv(program.c_str(), ArgumentPointers(arguments).data());
  const int error_number = errno;
  unsetenv(Inheritance::kStateVariable);
  throw SystemError(ErrorKind::kSystem, error_number, "cannot execute the program on disk",
                    "firnd goes on as it was.")
      .WithPath(program);
}

void AnswerAsSuccessor(int state_fd) {
  fcntl(state_fd, F_SETFD, FD_CLOEXEC);
  Inheritance(FileDescriptor(state_fd)).Check();
}

}  // namespace firn
