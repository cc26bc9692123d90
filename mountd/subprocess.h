#ifndef FIRN_MOUNTD_SUBPROCESS_H_
#define FIRN_MOUNTD_SUBPROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "format/file.h"

namespace firn {

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

// Both ends close at exec. Throws kInternal.
Pipe MakePipe();

struct SpawnOptions {
  std::vector<int> inherited{};            // descriptors that stay open at their numbers
  std::vector<std::string> environment{};  // "NAME=VALUE", besides the caller's own
  bool only_environment = false;           // leave out the caller's own
  int stderr_fd = -1;                      // what becomes its standard error; -1: the caller's
};

// Starts argv[0], looked up in PATH where it has no slash, with default signal handling and
// /dev/null as standard input. Returns its process id, or a negative errno.
pid_t Spawn(const std::vector<std::string>& argv, const SpawnOptions& options);

// A pidfd: readable, for poll(2), when the process has ended. Invalid, with errno set, where there
// is no such process.
FileDescriptor OpenProcess(pid_t pid);

// Waits for the process; returns its exit code, 128 + N where signal N ended it.
int WaitForExit(pid_t pid);

// Is the descriptor readable (a pidfd: has the process ended), or does it become so within the
// time? A negative time has no end. A signal ends the wait.
bool IsReadable(int fd, std::chrono::milliseconds patience);

// Reads to the end of the stream, at most `limit` bytes.
std::string ReadAll(int fd, size_t limit);

// Reads to the end of the stream or the first newline, which is left out with what follows it.
std::string ReadLine(int fd);

}  // namespace firn

#endif  // FIRN_MOUNTD_SUBPROCESS_H_
