#include "mountd/process_identity.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "mountd/subprocess.h"

namespace firn {

ProcessIdentity IdentityOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The name stands in parentheses and may hold anything; the start is the 22nd field, the 20th
  // behind the name.
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string skipped;
  for (int i = 0; i < 19; ++i) fields >> skipped;
  ProcessIdentity process{.pid = pid};
  fields >> process.started;
  return process.started != 0 ? process : ProcessIdentity{};
}

FileDescriptor OpenProcess(const ProcessIdentity& process) {
  if (process.pid <= 0 || process.started == 0) return FileDescriptor();
  // Opened first: had the number gone to another one before, its start would say so.
  FileDescriptor pidfd = OpenProcess(process.pid);
  return pidfd.valid() && IdentityOf(process.pid) == process ? std::move(pidfd) : FileDescriptor();
}

bool KillProcess(const FileDescriptor& process) {
  constexpr std::chrono::milliseconds kKillPatience{500};
  if (!process.valid() || IsReadable(process.get(), std::chrono::milliseconds(0))) return false;
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  IsReadable(process.get(), kKillPatience);
  return true;
}

}  // namespace firn
