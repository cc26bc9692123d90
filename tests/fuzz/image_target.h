#ifndef FIRN_TESTS_FUZZ_IMAGE_TARGET_H_
#define FIRN_TESTS_FUZZ_IMAGE_TARGET_H_

#include <vector>

#include "format/file.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/image_parts.h"

namespace firn::fuzz {

// A target that reads images. An input holds some of the parts of one, each behind its length (2
// bytes); all others are those of a good image. Mutation changes one part and keeps the rest, and
// the checksums are made anew, so that what is read is what was changed.
class ImageTarget final : public FuzzTarget {
 public:
  using Exercise = void (*)(FileDescriptor image);

  ImageTarget(std::vector<Part> parts, Exercise exercise, std::vector<uint32_t> seed_options = {})
      : parts_(std::move(parts)), exercise_(exercise), seed_options_(std::move(seed_options)) {}

  void Run(ByteSpan input) const override;
  // The good images, put together in each way.
  std::vector<Seed> Seeds() const override;
  size_t Mutate(uint8_t* input, size_t size, size_t most, unsigned seed) const override;
  size_t Cross(ByteSpan one, ByteSpan other, MutableByteSpan out, unsigned seed) const override;

 private:
  // In the order of parts_, the options first.
  std::vector<Bytes> Split(ByteSpan input) const;
  static Bytes Join(const std::vector<Bytes>& pieces);

  const std::vector<Part> parts_;
  const Exercise exercise_;
  const std::vector<uint32_t> seed_options_;
};

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_IMAGE_TARGET_H_
