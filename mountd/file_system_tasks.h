#ifndef FIRN_MOUNTD_FILE_SYSTEM_TASKS_H_
#define FIRN_MOUNTD_FILE_SYSTEM_TASKS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "mountd/request_gate.h"

namespace firn {

// Does what looks at files of a file system that may not answer, in a thread for each file system,
// one after the other. To be used by one thread.
class FileSystemTasks {
 public:
  FileSystemTasks() = default;
  // Waits for the tasks that have begun; the others are dropped.
  ~FileSystemTasks();
  FileSystemTasks(const FileSystemTasks&) = delete;
  FileSystemTasks& operator=(const FileSystemTasks&) = delete;

  // Returns at once. No exception may leave the task.
  void Post(FileSystemId file_system, std::function<void()> task);

 private:
  struct Lane {
    std::deque<std::function<void()>> tasks{};
    std::thread thread{};
  };

  void Work(Lane& lane);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<FileSystemId, Lane> lanes_;  // there are no more than file systems that images lie on
  bool ending_ = false;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_FILE_SYSTEM_TASKS_H_
