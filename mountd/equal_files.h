#ifndef FIRN_MOUNTD_EQUAL_FILES_H_
#define FIRN_MOUNTD_EQUAL_FILES_H_

#include <cstdint>
#include <optional>

#include "format/digest.h"
#include "format/image.h"
#include "format/inode.h"

namespace firn {

// A regular file that is looked for in other images. Two files are equal that have the same
// digest, mode, owner, group, time and link count.
//
// Where an image has several equal files, the k-th of them, in the order of inode numbers, is the
// counterpart of the k-th in the other image, and of none where the other has fewer. So no two
// files of one image have the same counterpart. To rank a file, those before it are looked at, so
// this is done for the first kRanked files of one content alone; a file further on (think of a
// thousand empty ones) has as counterpart only the file at the same place among all those of its
// content.
class EqualFile {
 public:
  static constexpr uint64_t kRanked = 64;

  // Looks the file up in its own image. Throws Error.
  EqualFile(const Image& image, const Inode& file);

  // Its counterpart: a function of the two images alone. Throws Error.
  std::optional<InodeNumber> FindIn(const Image& other) const;

 private:
  Inode file_;
  Digest digest_;
  uint64_t place_ = 0;  // among the files of its content, in the order of inode numbers
  uint64_t rank_ = 0;   // among the equal ones of these
};

// What two files of the same content must have in common to be equal.
bool HaveEqualAttributes(const Inode& a, const Inode& b);

}  // namespace firn

#endif  // FIRN_MOUNTD_EQUAL_FILES_H_
