#include "mountd/prover.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "format/digest.h"
#include "format/error.h"
#include "format/image.h"
#include "mountd/log.h"

namespace firn {
namespace {

constexpr size_t kProofCache = size_t{8} << 20;
constexpr uint64_t kProofPiece = uint64_t{1} << 20;

// Where a file's first byte is stored. Small, as there may be millions.
struct StoredFile {
  uint64_t place;
  InodeNumber number;
};

uint64_t PlaceOf(const Image& image, const Inode& file) {
  if (file.file.block_count > 0) return image.BlockAt(file, 0).offset;
  return file.size > 0 ? image.FragmentOf(file).offset : 0;
}

// Proves one image. `poll` is called now and then, and throws where that is to end.
class ContentProof {
 public:
  ContentProof(const Image& image, std::function<void()> poll)
      : image_(image), poll_(std::move(poll)) {}

  // Throws Error where it is not right.
  void Run() {
    const std::vector<StoredFile> files = FilesByPlace();
    for (const StoredFile& file : files) CheckContent(image_.GetInode(file.number));
    CheckIndex(files.size());
  }

 private:
  // The image's regular files in the order in which they are stored, so that each block is decoded
  // once.
  std::vector<StoredFile> FilesByPlace() const {
    std::vector<StoredFile> files;
    uint64_t bytes_left =
        std::max(Prover::kLeastBytes, image_.file_length() * Prover::kMostBytesPerByte);
    for (uint64_t number = 1; number <= image_.inode_count(); ++number) {
      poll_();
      const Inode inode = image_.GetInode(InodeNumber{static_cast<uint32_t>(number)});
      if (!inode.IsRegular()) continue;
      if (files.size() == Prover::kMostFiles || inode.size > bytes_left) {
        throw Error(ErrorKind::kUnsupported,
                    "it claims more contents than are worth comparing with their digests");
      }
      bytes_left -= inode.size;
      files.push_back({PlaceOf(image_, inode), inode.number});
    }
    std::ranges::sort(files, {},
                      [](const StoredFile& file) { return std::pair(file.place, file.number); });
    return files;
  }

  void CheckContent(const Inode& file) const {
    Sha256 digest;
    for (uint64_t offset = 0; offset < file.size; offset += kProofPiece) {
      poll_();
      for (const FilePiece& piece : image_.Read(file, offset, kProofPiece)) {
        digest.Update(piece.bytes);
      }
    }
    if (digest.Finish() == image_.FileDigest(file.number)) return;
    throw DamagedError("the content of inode " + std::to_string(ToInt(file.number)) +
                       " is not what its digest says");
  }

  // Does the index name each file once, by ascending digest and inode number?
  void CheckIndex(uint64_t count) const {
    std::optional<std::pair<Digest, InodeNumber>> last;
    for (uint64_t position = 0; position < count; ++position) {
      poll_();
      const InodeNumber number = image_.FileInDigestOrder(position);
      const std::pair<Digest, InodeNumber> next(image_.FileDigest(number), number);
      if (last && !(*last < next)) {
        throw DamagedError("the index of section digests is out of order at entry " +
                           std::to_string(position));
      }
      last = next;
    }
  }

  const Image& image_;
  const std::function<void()> poll_;
};

// The others are waited for by somebody.
void YieldToOthers() {
  constexpr int kLowest = 19;
  if (setpriority(PRIO_PROCESS, 0, kLowest) != 0) LogDebug("the proof runs at normal priority");
}

}  // namespace

Prover::~Prover() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Prover::Add(std::shared_ptr<AttachedImage> image, std::function<void(bool is_right)> done) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back({std::move(image), std::move(done)});
  if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
  changed_.notify_all();
}

void Prover::Drop(const AttachedImage& image) {
  std::vector<Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (current_ == &image) current_ = nullptr;
    const auto is_other = [&](const Task& task) { return task.image.get() != &image; };
    const auto first = std::stable_partition(tasks_.begin(), tasks_.end(), is_other);
    std::move(first, tasks_.end(), std::back_inserter(dropped));
    tasks_.erase(first, tasks_.end());
  }
  for (const Task& task : dropped) task.done(false);
}

void Prover::Work() {
  YieldToOthers();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    current_ = task.image.get();
    lock.unlock();
    const bool is_right = IsRight(*task.image);
    lock.lock();
    current_ = nullptr;
    if (ending_) return;
    if (is_right) task.image->SetDigestsProved(true);
    task.done(is_right);
  }
}

bool Prover::IsRight(const AttachedImage& attached) {
  try {
    // With a cache of its own: what is read here once is not what programs want.
    BlockCache cache(kProofCache);
    const std::unique_ptr<const Image> image =
        Image::Open(FileDescriptor(fcntl(attached.image().fd(), F_DUPFD_CLOEXEC, 0)),
                    attached.image().path(), cache, {.drop_stored = true});
    ContentProof(*image, [this] {
      if (!IsWanted()) throw Error(ErrorKind::kInterrupted, "nobody waits for the proof");
    }).Run();
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) return false;
    LogError("{}: its files are not shared with other images: {}", attached.image().path(),
             error.what());
    return false;
  }
}

bool Prover::IsWanted() {
  const std::lock_guard lock(mutex_);
  return current_ != nullptr && !ending_;
}

}  // namespace firn
