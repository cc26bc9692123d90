#ifndef FIRN_BUILDER_SOURCE_BASE_H_
#define FIRN_BUILDER_SOURCE_BASE_H_

#include <string>

namespace firn {

// Bases, while tools add to them: `tree` shows the base, and what is written there goes into the
// layer.

// Whether there is an environment in the tree before any tool ran.
bool ShowsBase(const std::string& tree);

// Takes away what tells installers to leave the base alone: EXTERNALLY-MANAGED, conda-meta/frozen
// and stubs of pip. The rules put them back, with the layer's name.
void AllowInstalls(const std::string& tree);

// Byte code of the base whose source the tools replaced: an image's is never compared with its
// source, so that the old module would be imported. `changes`: what was written, as the upper
// directory of an overlay over the base has it.
void DropStaleBytecode(const std::string& tree, const std::string& changes);

// Has uv take a base that was a venv for one again while this lives, so that it adds to it and does
// not make it anew. The interpreter sees no difference.
class VenvFace {
 public:
  // Throws kInternal where it cannot be written.
  explicit VenvFace(const std::string& tree);
  ~VenvFace();
  VenvFace(const VenvFace&) = delete;
  VenvFace& operator=(const VenvFace&) = delete;

 private:
  const std::string path_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_SOURCE_BASE_H_
