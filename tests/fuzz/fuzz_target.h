#ifndef FIRN_TESTS_FUZZ_FUZZ_TARGET_H_
#define FIRN_TESTS_FUZZ_FUZZ_TARGET_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/types.h"

namespace firn::fuzz {

struct Seed {
  std::string name;
  std::vector<std::byte> input;
};

// A part of Firn that reads what others wrote. One program has them all, and is the one of a target
// by the name that it is called by: firn_fuzz_NAME.
class FuzzTarget {
 public:
  virtual ~FuzzTarget() = default;

  // Reads the input. An Error says that it was refused, which is right, unless it is kInternal;
  // anything else that is thrown is a finding.
  virtual void Run(ByteSpan input) const = 0;
  // What fuzzing starts from.
  virtual std::vector<Seed> Seeds() const = 0;
  // Changes the `size` bytes of `input`, a buffer of `most`, in a way that keeps its structure;
  // returns the new size.
  virtual size_t Mutate(uint8_t* input, size_t size, size_t most, unsigned seed) const;
  // Mixes two inputs into `out`; returns its size.
  virtual size_t Cross(ByteSpan one, ByteSpan other, MutableByteSpan out, unsigned seed) const;

 protected:
  FuzzTarget() = default;
};

struct NamedTarget {
  std::string_view name;
  const FuzzTarget* target;
};

// Each is defined beside its target.
std::span<const NamedTarget> ImageTargets();
std::span<const NamedTarget> TextTargets();
std::span<const NamedTarget> MessageTargets();

// Seeds of text.
std::vector<Seed> TextSeeds(std::initializer_list<std::string_view> texts);
std::string_view AsText(ByteSpan bytes);

// libFuzzer's own mutation.
size_t MutateBytes(uint8_t* input, size_t size, size_t most);

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_FUZZ_TARGET_H_
