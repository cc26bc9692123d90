// The targets that read images, each with the parts that it changes.

#include <filesystem>
#include <fstream>
#include <iterator>

#include "format/decompressor.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/image_exercises.h"
#include "tests/fuzz/image_target.h"
#include "tests/fuzz/memory_file.h"

namespace firn::fuzz {
namespace {

// Whole files without an appendix: nothing in them is checked.
class ForeignTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override { ReadForeign(MemoryFile(input)); }

  std::vector<Seed> Seeds() const override {
    std::vector<Seed> seeds;
    for (const auto& entry : std::filesystem::directory_iterator(FIRN_GOLDEN_IMAGES)) {
      if (entry.path().extension() != ".sqfs") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text(std::istreambuf_iterator<char>(file), {});
      seeds.push_back(TextSeeds({text}).front());
      seeds.back().name = entry.path().filename().string();
    }
    return seeds;
  }
};

// A stored block, behind the number of its compression.
class DecompressorTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override {
    if (input.empty()) return;
    constexpr Compression kCompressions[] = {Compression::kGzip, Compression::kXz,
                                             Compression::kLz4, Compression::kZstd,
                                             Compression::kLzo};
    const Compression compression =
        kCompressions[static_cast<size_t>(input[0]) % std::size(kCompressions)];
    const auto decompressor = Decompressor::Create(compression, kBlockSize);
    for (const size_t size : {kMetadataBlockSize, size_t{kBlockSize}, size_t{1}}) {
      Bytes out(size);
      try {
        if (decompressor->Decode(input.subspan(1), out) > size) throw std::bad_alloc();
      } catch (const Error&) {  // as it should be
      }
    }
  }

  std::vector<Seed> Seeds() const override {
    return TextSeeds(
        {std::string_view("\3\x28\xb5\x2f\xfd\0\x58\x45\0\0\x10\0\0\1\0\x02\x10\x02\4", 19),
         std::string_view("\0\x78\x9c\x4b\x04\0\0\x62\0\x62", 10),
         std::string_view("\2\x50\x61\x62\x63\x64\x65", 7)});
  }

 private:
  static constexpr uint32_t kBlockSize = 4096;
};

const ImageTarget kSuperblockTarget(
    {Part::kSuperblock, Part::kLists, Part::kFragments, Part::kExports, Part::kIds}, WalkTree,
    {kRawIdTable, kRawExportTable | kRawFragmentTable, kCompressIndexed});
const ImageTarget kInodeTarget({Part::kSuperblock, Part::kInodes, Part::kExports, Part::kIds},
                               ReadInodes, {kCompressInodes, kStoredInodes});
const ImageTarget kDirectoryTarget({Part::kSuperblock, Part::kListings, Part::kInodes,
                                    Part::kExports},
                                   WalkTree, {kCompressListings, kStoredListings});
const ImageTarget kBlockMapTarget({Part::kInodes, Part::kData, Part::kFragments}, ReadFiles,
                                  {kCompressInodes});
const ImageTarget kAppendixTarget({Part::kCore, Part::kFooter, Part::kManifest, Part::kOther},
                                  ReadAppendix, {kTinyExtents});
const ImageTarget kExtentsTarget({Part::kExtents, Part::kLists}, ReadFiles,
                                 {kTinyExtents, kExtentsAsGiven});
const ImageTarget kDigestsTarget({Part::kDigests, Part::kCore}, ReadDigests);
const ImageTarget kSignaturesTarget({Part::kSignatures, Part::kFooter}, ReadSignatureArea,
                                    {kRawSignatureId});
const ImageTarget kVerifyTarget({Part::kSuperblock, Part::kInodes, Part::kListings,
                                 Part::kFragments, Part::kExports, Part::kXattrs, Part::kData,
                                 Part::kDigests, Part::kManifest, Part::kProfile, Part::kExtents},
                                VerifyImage, {kCompressInodes | kCompressListings});
const ForeignTarget kForeignTarget;
const DecompressorTarget kDecompressorTarget;

}  // namespace

std::span<const NamedTarget> ImageTargets() {
  static const NamedTarget kTargets[] = {
      {"superblock", &kSuperblockTarget},
      {"inode", &kInodeTarget},
      {"directory", &kDirectoryTarget},
      {"block_map", &kBlockMapTarget},
      {"appendix", &kAppendixTarget},
      {"extents", &kExtentsTarget},
      {"digests", &kDigestsTarget},
      {"signatures", &kSignaturesTarget},
      {"verify", &kVerifyTarget},
      {"foreign", &kForeignTarget},
      {"decompressor", &kDecompressorTarget},
  };
  return kTargets;
}

}  // namespace firn::fuzz
