#ifndef FIRN_MOUNTD_PROOF_STORE_H_
#define FIRN_MOUNTD_PROOF_STORE_H_

#include <sys/stat.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace firn {

// Which image files were proved: every digest of theirs is true to the contents. Remembered across
// restarts, so that a proof, which reads the whole file, is made once. A file is known by its image
// id and by what changes with its contents: device, inode, size, times of change. To be used by one
// thread.
class ProofStore {
 public:
  // The oldest go beyond this.
  static constexpr size_t kMostProofs = 4096;

  // `path`: of the file, whose directory is made where it is missing; empty: nothing outlives this
  // object. What the file holds is believed only where nobody but the caller may write to it; what
  // is damaged, or another's, is logged and left out.
  explicit ProofStore(std::string path);
  // Waits until the file is written.
  ~ProofStore();
  ProofStore(const ProofStore&) = delete;
  ProofStore& operator=(const ProofStore&) = delete;

  bool Has(std::string_view image_id, const struct stat& file) const;
  // Has a thread write the file anew, as its file system may hang. Where that fails, it is logged:
  // the proof is made once more then.
  void Add(std::string_view image_id, const struct stat& file);

 private:
  struct Proof {
    std::string image_id;
    uint64_t device = 0;
    uint64_t inode = 0;
    uint64_t size = 0;
    int64_t modified = 0;  // nanoseconds since 1970
    int64_t changed = 0;

    bool operator==(const Proof&) const = default;
  };

  static Proof ProofOf(std::string_view image_id, const struct stat& file);
  void Load();
  std::string ToText() const;
  void WriteWhatComes();

  const std::string path_;
  std::deque<Proof> proofs_;  // the oldest first
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> to_write_;
  bool ending_ = false;
  std::thread writer_;  // started when there is something to write
};

// Where the node's firnd keeps what outlives it: $STATE_DIRECTORY, which systemd sets; else
// /var/lib/firn for root, and for others $XDG_STATE_HOME/firn or ~/.local/state/firn. Empty where
// there is none of these.
std::string StateDirectory();

}  // namespace firn

#endif  // FIRN_MOUNTD_PROOF_STORE_H_
