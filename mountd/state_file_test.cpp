#include "mountd/state_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace firn {
namespace {

StateFile SameFile(const StateFile& file) {
  return StateFile(FileDescriptor(fcntl(file.fd(), F_DUPFD_CLOEXEC, 0)));
}

TEST(StateFile, HoldsWhatWasWrittenLast) {
  StateFile file;
  EXPECT_EQ(file.Read(), std::nullopt);
  for (const size_t length : {10u, 100'000u, 0u, 5000u, 4096u, 1u, 300'000u, 20u}) {
    const std::string text(length, static_cast<char>('a' + length % 26));
    file.Write(text);
    EXPECT_EQ(SameFile(file).Read(), text);
  }
}

TEST(StateFile, DoesNotGrowWithTheNumberOfWrites) {
  StateFile file;
  for (size_t i = 0; i < 1000; ++i) file.Write(std::string(9000 + i % 3000, 'x'));
  EXPECT_LT(FileSize(file.fd()), 100'000u);
}

TEST(StateFile, IsNotTakenFromAnotherFile) {
  StateFile file;
  ASSERT_EQ(pwrite(file.fd(), "other", 5, 0), 5);
  EXPECT_EQ(file.Read(), std::nullopt);
}

// Each text is one letter repeated, as often as its first bytes say.
std::string TextOf(size_t number) {
  const std::string letter(1, static_cast<char>('a' + number % 26));
  std::string text;
  for (size_t i = 0; i < 1000 + number * 7919 % 50'000; ++i) text += letter;
  return std::to_string(text.size()) + ":" + text;
}

TEST(StateFile, IsWholeWhereTheWriterIsKilled) {
  StateFile file;
  file.Write(TextOf(0));
  for (useconds_t turn = 0; turn < 50; ++turn) {
    const pid_t writer = fork();
    ASSERT_GE(writer, 0);
    if (writer == 0) {
      for (size_t number = turn;; ++number) file.Write(TextOf(number));
    }
    usleep(100 * turn);  // a moment as good as any
    kill(writer, SIGKILL);
    ASSERT_EQ(waitpid(writer, nullptr, 0), writer);
    const std::optional<std::string> text = file.Read();
    ASSERT_TRUE(text);
    const size_t colon = text->find(':');
    ASSERT_NE(colon, std::string::npos);
    EXPECT_EQ(std::stoul(*text), text->size() - colon - 1);
    EXPECT_EQ(text->find_first_not_of(text->back(), colon + 1), std::string::npos);
  }
}

}  // namespace
}  // namespace firn
