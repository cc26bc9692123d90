#include "cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "builder/interrupt.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr size_t kLongestPassphrase = 4096;

// A terminal that does not show what is typed, as long as it lives. A signal must not end the
// process meanwhile.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (tcgetattr(fd_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_changed_ = tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (is_changed_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

 private:
  const int fd_;
  const InterruptGuard guard_;
  termios before_{};
  bool is_changed_ = false;
};

void Show(int fd, std::string_view text) {
  // Without it the user sees no prompt, which is no reason to fail.
  [[maybe_unused]] const ssize_t written = write(fd, text.data(), text.size());
}

std::string AskAtTerminal(int fd, const std::string& prompt) {
  const QuietTerminal quiet(fd);
  Show(fd, prompt);
  std::string line;
  for (char next = 0; line.size() < kLongestPassphrase;) {
    const ssize_t got = read(fd, &next, 1);
    ThrowIfInterrupted();
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || next == '\n') break;
    line += next;
  }
  Show(fd, "\n");
  return line;
}

std::string FirstLineOf(const std::string& path) {
  const FileDescriptor file = OpenFile(path, O_RDONLY | O_NOCTTY, ErrorKind::kInput);
  std::string text;
  // Not by offset: it may be a pipe, as of <(pass show firn).
  for (char next = 0; text.size() < kLongestPassphrase;) {
    const ssize_t got = read(file.get(), &next, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError(ErrorKind::kInput, errno, "cannot read").WithPath(path);
    if (got == 0 || next == '\n') break;
    text += next;
  }
  if (!text.empty()) return text;
  throw Error(ErrorKind::kInput, "expected a passphrase in the first line, found none")
      .WithPath(path);
}

}  // namespace

std::string TakePassphrase(const std::string& file, const std::string& prompt, bool confirm) {
  if (!file.empty()) return FirstLineOf(file);
  const FileDescriptor terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal.valid()) {
    throw Error(ErrorKind::kInput, "the key takes a passphrase, and there is no terminal to ask at",
                "Give it by --passphrase-file.");
  }
  const std::string passphrase = AskAtTerminal(terminal.get(), prompt + ": ");
  if (passphrase.empty()) throw Error(ErrorKind::kInput, "expected a passphrase, found none");
  if (confirm && AskAtTerminal(terminal.get(), prompt + ", once more: ") != passphrase) {
    throw Error(ErrorKind::kInput, "the two passphrases differ");
  }
  return passphrase;
}

}  // namespace firn
