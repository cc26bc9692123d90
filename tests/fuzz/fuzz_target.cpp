#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
#include <random>

namespace firn::fuzz {

size_t FuzzTarget::Mutate(uint8_t* input, size_t size, size_t most, unsigned) const {
  return MutateBytes(input, size, most);
}

// The start of one and the end of the other.
size_t FuzzTarget::Cross(ByteSpan one, ByteSpan other, MutableByteSpan out, unsigned seed) const {
  std::minstd_rand random(seed);
  const ByteSpan start = one.first(random() % (one.size() + 1));
  const ByteSpan end = other.subspan(random() % (other.size() + 1));
  const size_t first = std::min(start.size(), out.size());
  const size_t second = std::min(end.size(), out.size() - first);
  std::ranges::copy(start.first(first), out.begin());
  std::ranges::copy(end.first(second), out.begin() + static_cast<ptrdiff_t>(first));
  return first + second;
}

std::vector<Seed> TextSeeds(std::initializer_list<std::string_view> texts) {
  std::vector<Seed> seeds;
  for (const std::string_view text : texts) {
    const auto bytes = std::as_bytes(std::span(text));
    seeds.push_back({"text-" + std::to_string(seeds.size() + 1), {bytes.begin(), bytes.end()}});
  }
  return seeds;
}

std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace firn::fuzz
