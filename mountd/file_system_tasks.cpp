#include "mountd/file_system_tasks.h"

#include <utility>

namespace firn {

FileSystemTasks::~FileSystemTasks() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (auto& [id, lane] : lanes_) lane.thread.join();
}

void FileSystemTasks::Post(FileSystemId file_system, std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[file_system];
  lane.tasks.push_back(std::move(task));
  if (!lane.thread.joinable()) lane.thread = std::thread([this, &lane] { Work(lane); });
  changed_.notify_all();
}

void FileSystemTasks::Work(Lane& lane) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !lane.tasks.empty(); });
    if (ending_) return;
    std::function<void()> task = std::move(lane.tasks.front());
    lane.tasks.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it holds may take as long to let go
    lock.lock();
  }
}

}  // namespace firn
