#include "mountd/recording.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "format/error.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

// What the terminal sends to the command and to us is the command's to answer.
class IgnoreTerminalSignals {
 public:
  IgnoreTerminalSignals() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &interrupt_);
    sigaction(SIGQUIT, &ignore, &quit_);
  }
  ~IgnoreTerminalSignals() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGQUIT, &quit_, nullptr);
  }
  IgnoreTerminalSignals(const IgnoreTerminalSignals&) = delete;
  IgnoreTerminalSignals& operator=(const IgnoreTerminalSignals&) = delete;

 private:
  struct sigaction interrupt_ {};
  struct sigaction quit_ {};
};

// Tells the parent, when it is destroyed, that the child has not become the command: at exec the
// descriptor closes without a word.
class FailureNote {
 public:
  explicit FailureNote(FileDescriptor fd) : fd_(std::move(fd)) {}
  ~FailureNote() {
    const char note = 'x';
    // Where the parent is gone there is nobody to tell.
    [[maybe_unused]] const ssize_t written = write(fd_.get(), &note, 1);
  }
  FailureNote(const FailureNote&) = delete;
  FailureNote& operator=(const FailureNote&) = delete;

 private:
  FileDescriptor fd_;
};

}  // namespace

Recording RecordJob(const std::function<void(int record_fd)>& become_command) {
  Pipe record = MakePipe();
  Pipe failure = MakePipe();
  const pid_t child = fork();
  if (child < 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot start a process",
                      "Check the limits on processes (ulimit -u, the job's pids limit).");
  }
  if (child == 0) {
    record.read_end.Close();
    failure.read_end.Close();
    const FailureNote note(std::move(failure.write_end));
    become_command(record.write_end.get());
  }
  const IgnoreTerminalSignals guard;
  record.write_end.Close();
  failure.write_end.Close();
  Recording recording;
  // To its end: one byte more than a profile may have would be refused.
  const std::string text = ReadAll(record.read_end.get(), kMaxProfileLength + 1);
  recording.exit_code = WaitForExit(child);
  recording.ran = ReadAll(failure.read_end.get(), 1).empty();
  if (recording.ran && text.find('\n') + 1 < text.size()) {
    recording.profile = Profile::Parse(text, "the recorded profile");
  }
  return recording;
}

}  // namespace firn
