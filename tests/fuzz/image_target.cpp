#include "tests/fuzz/image_target.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "format/little_endian.h"
#include "tests/fuzz/base_image.h"
#include "tests/fuzz/memory_file.h"

namespace firn::fuzz {
namespace {

constexpr size_t kMostOfPart = 0xffff;

// Numbers at which readers go wrong.
constexpr uint64_t kEdges[] = {0,
                               1,
                               2,
                               3,
                               7,
                               20,
                               255,
                               256,
                               257,
                               4095,
                               4096,
                               8191,
                               8192,
                               8194,
                               0x7fff,
                               0x8000,
                               0xffff,
                               0x10000,
                               0xfffff,
                               0x100000,
                               0xffffff,
                               0x1000000,
                               0x7fffffff,
                               0x80000000,
                               0xffffffff,
                               0x100000000,
                               uint64_t{1} << 48,
                               INT64_MAX,
                               uint64_t{1} << 63,
                               UINT64_MAX - 8191,
                               UINT64_MAX - 1,
                               UINT64_MAX};

void PutNumber(Bytes& part, std::minstd_rand& random) {
  const size_t width = size_t{1} << (1 + random() % 3);
  if (part.size() < width) return;
  const size_t at = random() % (part.size() - width + 1) & ~size_t{random() % 4 == 0 ? 0u : 1u};
  uint64_t number = 0;
  std::memcpy(&number, part.data() + at, width);
  switch (random() % 4) {
    case 0:
      number += random() % 16;
      break;
    case 1:
      number -= random() % 16;
      break;
    default:
      number = kEdges[random() % std::size(kEdges)];
      break;
  }
  std::memcpy(part.data() + at, &number, width);
}

// Bytes of the part once more, or without some of them.
void RepeatRun(Bytes& part, std::minstd_rand& random) {
  if (part.empty()) return;
  const size_t from = random() % part.size();
  const size_t length = std::min<size_t>(1 + random() % 64, part.size() - from);
  const Bytes run(part.begin() + static_cast<ptrdiff_t>(from),
                  part.begin() + static_cast<ptrdiff_t>(from + length));
  part.insert(part.begin() + static_cast<ptrdiff_t>(random() % (part.size() + 1)), run.begin(),
              run.end());
}

void DropRun(Bytes& part, std::minstd_rand& random) {
  if (part.empty()) return;
  const size_t from = random() % part.size();
  const size_t length = std::min<size_t>(1 + random() % 64, part.size() - from);
  part.erase(part.begin() + static_cast<ptrdiff_t>(from),
             part.begin() + static_cast<ptrdiff_t>(from + length));
}

void MutatePart(Bytes& part, std::minstd_rand& random) {
  switch (random() % 8) {
    case 0:
    case 1:
    case 2:
      return PutNumber(part, random);
    case 3:
      return RepeatRun(part, random);
    case 4:
      return DropRun(part, random);
    default:
      break;
  }
  const size_t size = part.size();
  part.resize(size + 64);
  part.resize(MutateBytes(reinterpret_cast<uint8_t*>(part.data()), size, part.size()));
}

}  // namespace

std::vector<Bytes> ImageTarget::Split(ByteSpan input) const {
  std::vector<Bytes> pieces;
  for (size_t i = 0; i <= parts_.size(); ++i) {
    if (input.size() < 2) {
      pieces.emplace_back();
      continue;
    }
    const size_t length = std::min<size_t>(LoadLe<uint16_t>(input.data()), input.size() - 2);
    const ByteSpan piece = input.subspan(2, length);
    pieces.emplace_back(piece.begin(), piece.end());
    input = input.subspan(2 + length);
  }
  return pieces;
}

Bytes ImageTarget::Join(const std::vector<Bytes>& pieces) {
  Bytes joined;
  for (const Bytes& piece : pieces) {
    const size_t length = std::min(piece.size(), kMostOfPart);
    AppendLe(joined, static_cast<uint16_t>(length));
    joined.insert(joined.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(length));
  }
  return joined;
}

void ImageTarget::Run(ByteSpan input) const {
  ImageParts parts = SmallImage();
  // Opening an image reads the manifest, which takes longer than all else.
  static constexpr std::string_view kShortManifest = "{name: a, prefix: /a}";
  const auto manifest = std::as_bytes(std::span(kShortManifest));
  parts[Part::kManifest].assign(manifest.begin(), manifest.end());
  std::vector<Bytes> pieces = Split(input);
  parts[Part::kOptions] = std::move(pieces[0]);
  for (size_t i = 0; i < parts_.size(); ++i) parts[parts_[i]] = std::move(pieces[i + 1]);
  exercise_(MemoryFile(Assemble(parts)));
}

std::vector<Seed> ImageTarget::Seeds() const {
  std::vector<Seed> seeds;
  const std::pair<const char*, const ImageParts&> images[] = {{"small", SmallImage()},
                                                              {"large", LargeDirectory()}};
  for (const auto& [name, image] : images) {
    std::vector<Bytes> pieces = {image[Part::kOptions]};
    for (const Part part : parts_) pieces.push_back(image[part]);
    seeds.push_back({name, Join(pieces)});
    for (const uint32_t options : seed_options_) {
      StoreLe(pieces[0].data(), options);
      seeds.push_back({name + std::string("-") + std::to_string(options), Join(pieces)});
    }
  }
  return seeds;
}

size_t ImageTarget::Mutate(uint8_t* input, size_t size, size_t most, unsigned seed) const {
  std::minstd_rand random(seed);
  std::vector<Bytes> pieces = Split({reinterpret_cast<const std::byte*>(input), size});
  for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
    // The options are few bits, and seldom what matters.
    const size_t which = random() % 16 == 0 ? 0 : 1 + random() % parts_.size();
    MutatePart(pieces[which], random);
  }
  const Bytes joined = Join(pieces);
  if (joined.size() > most) return MutateBytes(input, size, most);
  std::ranges::copy(joined, reinterpret_cast<std::byte*>(input));
  return joined.size();
}

// Each part of the one or of the other.
size_t ImageTarget::Cross(ByteSpan one, ByteSpan other, MutableByteSpan out, unsigned seed) const {
  std::minstd_rand random(seed);
  std::vector<Bytes> pieces = Split(one);
  std::vector<Bytes> others = Split(other);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (random() % 2 == 0) pieces[i] = std::move(others[i]);
  }
  const Bytes joined = Join(pieces);
  if (joined.size() > out.size()) return FuzzTarget::Cross(one, other, out, seed);
  std::ranges::copy(joined, out.begin());
  return joined.size();
}

}  // namespace firn::fuzz
