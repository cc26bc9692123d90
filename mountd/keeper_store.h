#ifndef FIRN_MOUNTD_KEEPER_STORE_H_
#define FIRN_MOUNTD_KEEPER_STORE_H_

#include <set>
#include <string>

#include "mountd/inheritance.h"
#include "mountd/state_file.h"

namespace firn {

// The estate of a running keeper, which a service manager holds, so that even a keeper that is
// killed leaves one. Does nothing where there is no such manager. To be used by one thread.
class KeeperStore {
 public:
  static constexpr char kOwnName[] = "store";

  // Goes on with what was inherited.
  explicit KeeperStore(Inheritance& inheritance);

  bool is_kept() const { return is_kept_; }

  // From the return on the next keeper finds `estate`. A descriptor once kept under its name is not
  // given again. Throws kInternal.
  void Keep(const Estate& estate);
  // Returns when the manager has it all, or after some seconds.
  void Settle() const;
  // What this object itself needs after an exec.
  void AddTo(Estate& estate) const;
  // Nothing is left to the next keeper.
  void Forget();

 private:
  const bool is_kept_;
  StateFile state_;
  std::string text_;             // as it was written last
  std::set<std::string> given_;  // names that the manager knows
};

}  // namespace firn

#endif  // FIRN_MOUNTD_KEEPER_STORE_H_
