#include "cli/image_checks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "builder/temporary_directory.h"
#include "cli/check_modules.h"
#include "cli/check_process.h"
#include "cli/job.h"
#include "cli/job_scratch.h"
#include "format/error.h"
#include "format/file.h"
#include "mountd/carried_error.h"
#include "mountd/job_view.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr size_t kShownLines = 40;  // of a failed check, in the error
constexpr std::chrono::seconds kDefaultTimeout{600};
constexpr int kPollMilliseconds = 100;

struct NamedCheck {
  std::string name;
  std::vector<std::string> command;
  std::chrono::seconds timeout{0};
};

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string FindPythonIn(const std::string& prefix) {
  for (const char* place : {"/bin/python3", "/bin/python", "/usr/bin/python3"}) {
    if (access((prefix + place).c_str(), X_OK) == 0) return prefix + place;
  }
  return {};
}

// Every other "${" is for the shell that a check may start.
std::string WithPrefix(std::string word, const std::string& prefix) {
  constexpr std::string_view kReference = "${PREFIX}";
  for (size_t at = word.find(kReference); at != std::string::npos;
       at = word.find(kReference, at + prefix.size())) {
    word.replace(at, kReference.size(), prefix);
  }
  return word;
}

NamedCheck ModulesCheck(const ImageChecks& checks, const std::string& python,
                        const std::string& prefix) {
  NamedCheck check{.name = "import of every module",
                   .command = {python, "-B", "-c", kCheckModulesProgram, prefix},
                   .timeout = kDefaultTimeout};
  if (!checks.changed) return check;
  check.name += " that the layer changes";
  check.command.push_back(Joined(checks.changed->installed));
  check.command.push_back(Joined(checks.changed->replaced));
  return check;
}

// In the view of the image.
std::vector<NamedCheck> ListChecks(const ImageChecks& checks, const std::string& prefix) {
  std::vector<NamedCheck> list;
  const std::string python = checks.default_checks ? FindPythonIn(prefix) : std::string();
  if (!python.empty()) {
    list.push_back({"pip check", {python, "-B", "-c", kCheckPipProgram}, kDefaultTimeout});
    list.push_back(ModulesCheck(checks, python, prefix));
  }
  for (const RecipeCheck& check : checks.checks) {
    NamedCheck named{.name = {}, .command = {}, .timeout = check.timeout};
    for (const std::string& word : check.command) {
      named.command.push_back(WithPrefix(word, prefix));
    }
    named.name = Joined(named.command);
    list.push_back(std::move(named));
  }
  return list;
}

std::string MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return path;
  throw SystemError(ErrorKind::kOutput, errno, "cannot create").WithPath(path);
}

// What a job gets whose caller has nothing of his own: checks pass or fail alike for everybody.
Environment CheckEnvironment(const ImageInJob& image, const std::string& home,
                             const std::string& own) {
  Environment environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                             {"HOME", home},
                             {"TMPDIR", MakeDirectory(own + "/tmp")},
                             {"LANG", "C.UTF-8"},
                             {"SHELL", "/bin/sh"},
                             {"PIP_DISABLE_PIP_VERSION_CHECK", "1"}};
  const std::vector<ImageInJob> images = {image};
  const std::vector<std::string> scratch = ScratchVariables(images, environment);
  Apply(JobVariables(images, environment), environment);
  for (const std::string& name : scratch) environment[name] = MakeDirectory(own + "/" + name);
  return environment;
}

// The process in which the checks are run: in the view of the image, as its job.
class CheckingJob {
 public:
  CheckingJob(const std::string& image, const ImageChecks& checks, const std::string& work,
              int output, int results)
      : image_(image), checks_(checks), work_(work), output_(output), results_(results) {}

  void Run() const {
    try {
      RunAll();
      Send({{"end", true}});
    } catch (const Error& error) {
      Send({{"error", ErrorToJson(error)}});
    } catch (const std::exception& error) {
      Send({{"error", ErrorToJson(Error(ErrorKind::kInternal, error.what()))}});
    }
  }

 private:
  void RunAll() const {
    const JobArguments job{.images = {image_},
                           .prefixes = {},
                           .command = {},
                           .base_directories = checks_.base_directories};
    const OpenedImages opened = OpenJobImages(job, false);
    // What the terminal says to those who wait for the checks is not said to them.
    setsid();
    if (chdir("/") != 0) throw SystemError(ErrorKind::kSystem, errno, "cannot enter /");
    EnterJobView(opened.images, LaunchOptions{});
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // entering the view may have taken it away
    const ImageInJob& shown = opened.shown.front();
    const std::vector<NamedCheck> list = ListChecks(checks_, shown.prefix);
    for (size_t i = 0; i < list.size(); ++i) {
      Send({{"begin", list[i].name}});
      const std::string own = MakeDirectory(work_ + "/" + std::to_string(i));
      const std::string home = MakeDirectory(own + "/home");
      const IsolatedResult result = RunIsolated({.arguments = list[i].command,
                                                 .environment = CheckEnvironment(shown, home, own),
                                                 .directory = home,
                                                 .timeout = list[i].timeout,
                                                 .output = output_});
      Send({{"exit_code", result.exit_code},
            {"timed_out", result.timed_out},
            {"timeout", list[i].timeout.count()}});
    }
  }

  void Send(const nlohmann::json& record) const {
    const std::string line =
        record.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
    size_t done = 0;
    while (done < line.size()) {
      const ssize_t put = write(results_, line.data() + done, line.size() - done);
      if (put < 0 && errno != EINTR) return;
      if (put > 0) done += static_cast<size_t>(put);
    }
  }

  const std::string& image_;
  const ImageChecks& checks_;
  const std::string& work_;
  int output_;
  int results_;
};

// Cuts what a pipe gives into lines.
class PipeLines {
 public:
  explicit PipeLines(FileDescriptor fd) : fd_(std::move(fd)) {
    fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  int fd() const { return fd_.get(); }

  // Takes what is there now. False at the end of the stream.
  template <typename Take>
  bool Read(const Take& take) {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t got = read(fd_.get(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return true;
      if (got == 0) return false;
      pending_.append(buffer.data(), static_cast<size_t>(got));
      for (size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
        take(pending_.substr(0, end));
        pending_.erase(0, end + 1);
      }
    }
  }
  // What has no end of line yet.
  std::string TakeRest() { return std::exchange(pending_, {}); }

 private:
  FileDescriptor fd_;
  std::string pending_;
};

// The process that has the checks, for whoever waits for them.
class CheckRun {
 public:
  CheckRun(const std::string& image, const ImageChecks& checks,
           const std::function<void(std::string_view)>& show)
      : show_(show) {
    Pipe output = MakePipe();
    Pipe results = MakePipe();
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw SystemError(ErrorKind::kSystem, errno, "cannot start a process");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      CheckingJob(image, checks, work_.path(), output.write_end.get(), results.write_end.get())
          .Run();
      _exit(0);
    }
    output_.emplace(std::move(output.read_end));
    results_.emplace(std::move(results.read_end));
  }
  ~CheckRun() {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  CheckRun(const CheckRun&) = delete;
  CheckRun& operator=(const CheckRun&) = delete;

  void Wait(const std::function<void()>& poll_function) {
    bool open = true;
    while (open && !ended_) {
      poll_function();
      std::array<pollfd, 2> ready{{{.fd = output_->fd(), .events = POLLIN, .revents = 0},
                                   {.fd = results_->fd(), .events = POLLIN, .revents = 0}}};
      if (poll(ready.data(), ready.size(), kPollMilliseconds) <= 0) continue;
      if (ready[0].revents != 0) ReadOutput();
      open = results_->Read([&](const std::string& line) {
        poll_function();
        // All that the check printed was there before its result.
        ReadOutput();
        TakeRecord(line);
      });
    }
    if (!ended_) {
      throw Error(ErrorKind::kInternal, "the process that runs the checks ended before them",
                  "Look for one that was killed: by the kernel for its memory, or by the site.");
    }
  }

  const std::string& failures() const { return failures_; }
  unsigned begun() const { return begun_; }

 private:
  void ReadOutput() {
    output_->Read([&](const std::string& line) { TakeLine(line); });
  }
  void TakeLine(const std::string& line) {
    show_(line);
    last_.push_back(line);
    if (last_.size() > kShownLines) last_.pop_front();
  }

  void TakeRecord(const std::string& line) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record.contains("error")) throw ErrorFromJson(record["error"]);
    if (record.contains("end")) {
      ended_ = true;
    } else if (record.contains("begin")) {
      name_ = record["begin"].get<std::string>();
      ++begun_;
      last_.clear();
      show_("firn: check: " + name_);
    } else {
      const std::string rest = output_->TakeRest();
      if (!rest.empty()) TakeLine(rest);
      TakeResult(record);
    }
  }

  void TakeResult(const nlohmann::json& record) {
    const int code = record["exit_code"].get<int>();
    std::string how;
    if (record["timed_out"].get<bool>()) {
      how = "did not end in " + std::to_string(record["timeout"].get<int64_t>()) + " s";
    } else if (code > 128) {
      how = "died of signal " + std::to_string(code - 128);
    } else if (code != 0) {
      how = "failed with exit code " + std::to_string(code);
    } else {
      return;
    }
    show_("firn: check " + how + ": " + name_);
    failures_ += "\nthe check " + how + ": " + name_;
    for (const std::string& line : last_) failures_ += "\n    " + line;
  }

  const std::function<void(std::string_view)>& show_;
  TemporaryDirectory work_;
  pid_t pid_ = -1;
  std::optional<PipeLines> output_;
  std::optional<PipeLines> results_;
  std::string name_;              // of the check that runs
  std::deque<std::string> last_;  // lines that it printed
  std::string failures_;
  unsigned begun_ = 0;  // how many checks
  bool ended_ = false;
};

}  // namespace

unsigned RunChecks(const std::string& image, const ImageChecks& checks,
                   const std::function<void(std::string_view line)>& show,
                   const std::function<void()>& poll) {
  CheckRun run(image, checks, show);
  run.Wait(poll);
  if (run.failures().empty()) return run.begun();
  throw Error(ErrorKind::kCheck, "the image does not pass its checks" + run.failures())
      .WithPath(image);
}

}  // namespace firn
