// 100,000 flipped bits of an image with many blocks of each kind. Of the image only what a flip
// touches is checked each time, by the steps of Verify().
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "format/appendix.h"
#include "format/block_cache.h"
#include "format/error.h"
#include "format/extent_table.h"
#include "format/image.h"
#include "format/key.h"
#include "format/page_tree.h"
#include "format/parallel.h"
#include "format/sign_image.h"
#include "format/test_image.h"
#include "format/verify.h"
#include "format/verify_internal.h"

namespace firn {
namespace {

// Sanitizers make each flip about ten times as slow.
#ifdef FIRN_SANITIZED
constexpr uint64_t kFlips = 4'000;
constexpr uint64_t kFlipsInEachPiece = 2;
constexpr int kLargeFiles = 8;
#else
constexpr uint64_t kFlips = 100'000;
constexpr uint64_t kFlipsInEachPiece = 50;
constexpr int kLargeFiles = 30;
#endif
// Flips are made in so many independent series, on as many processors as there are.
constexpr uint64_t kSeries = 8;
// After every so many flips in data, other files are looked at as well.
constexpr uint64_t kFlipsPerLook = 200;
// How many of the files that damage takes are asked for after a flip, and of the others as well.
constexpr size_t kAsked = 3;
constexpr uint32_t kLargeBlockSize = 16 * 1024;
constexpr size_t kLargeCacheBytes = size_t{64} << 20;

using Randoms = std::mt19937_64;

// What is checked as one: damage anywhere in it has one effect.
struct Piece {
  enum class Kind { kBlock, kMetadata, kPage, kHead, kSignatures, kPadding };

  Kind kind = Kind::kPadding;  // kHead: core table or footer
  uint64_t offset = 0;
  uint64_t length = 0;
  std::optional<Extent> extent = {};  // of the first two kinds
};

// A regular file and what is right of it.
struct Known {
  std::string path;
  InodeNumber number{};
  Digest digest;
  std::string start;         // its first block
  uint64_t start_block = 0;  // where that is stored
};

// A place in a file whose byte is in a certain block.
struct Owner {
  Inode file;
  uint64_t at = 0;
};

// What damage does to who reads the image: refused, or some of the known files give an error.
struct Outcome {
  bool refused = false;
  std::set<size_t> lost;
};

// A signed image, the pieces that tile it, and what is right of its files. Immutable.
class LargeImage {
 public:
  LargeImage() {
    TestImages images;
    const std::string path = (images.directory() / "image").string();
    images.Write("image", MakeFiles(),
                 {.block_size = kLargeBlockSize, .level = 3, .jobs = 2, .source_name = {}});
    SignImage(OpenFile(path, O_RDONLY, ErrorKind::kInput), path, PrivateKey::Generate("test"), {});
    const FileDescriptor file = OpenFile(path, O_RDONLY, ErrorKind::kInput);
    bytes_ = AllBytesOf(file.get());
    appendix_ = Appendix::ReadImage(file.get(), "image");
    BlockCache cache(kLargeCacheBytes);
    const auto image = Image::Open(DuplicateOf(file.get()), "image", cache);
    Learn(*image, image->GetInode(image->root()), "");
    CutIntoPieces(file.get());
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  const Appendix& appendix() const { return *appendix_; }
  const std::vector<Known>& known() const { return known_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  // The files that need a block, of which there is at least one.
  const std::vector<Owner>& OwnersOf(const Piece& block) const { return owners_.at(block.offset); }

  size_t PieceAt(uint64_t offset) const {
    const auto behind = std::ranges::upper_bound(pieces_, offset, {}, &Piece::offset);
    return static_cast<size_t>(behind - pieces_.begin()) - 1;
  }

  // Those of the known files whose first block that is.
  std::set<size_t> LostWith(const Piece& block, const std::set<size_t>& asked) const {
    std::set<size_t> lost;
    for (const size_t index : asked) {
      const Known& known = known_[index];
      if (!known.start.empty() && known.start_block == block.offset) lost.insert(index);
    }
    return lost;
  }

 private:
  // Files of many blocks, of which half can be compressed, and many more in fragments.
  static std::vector<TestImages::File> MakeFiles() {
    Randoms random(11);
    std::vector<TestImages::File> files;
    const auto add = [&](const std::string& name, size_t length) {
      std::string content(length, '\0');
      for (size_t i = 0; i < length; ++i) {
        content[i] = static_cast<char>(i / 20'000 % 2 == 0 ? random() : i / 50);
      }
      files.push_back({name, std::move(content)});
    };
    for (int directory = 10; directory < 50; ++directory) {
      for (int file = 100; file < 180; ++file) {
        add(std::to_string(directory) + "/" + std::to_string(file) + std::to_string(random()),
            random() % 500);
      }
    }
    for (int file = 0; file < kLargeFiles; ++file) {
      add(std::to_string(60 + file), random() % 1'500'000);
    }
    return files;
  }

  void Learn(const Image& image, const Inode& directory, const std::string& prefix) {
    image.ListDirectory(directory, 0, [&](const DirectoryEntry& entry) {
      const std::string path = prefix + std::string(entry.name);
      const Inode inode = image.GetInode(entry.inode);
      if (inode.IsDirectory()) {
        Learn(image, inode, path + "/");
        return true;
      }
      uint64_t start_block = 0;
      const auto own = [&](const StoredBlock& block, uint64_t at) {
        if (at == 0) start_block = block.offset;
        if (block.length > 0) owners_[block.offset].push_back({inode, at});
      };
      for (uint64_t i = 0; i < inode.file.block_count; ++i) {
        own(image.BlockAt(inode, i), i * kLargeBlockSize);
      }
      if (inode.file.has_fragment) own(image.FragmentOf(inode), 0);
      const std::string content = ContentOf(image, inode);
      known_.push_back({.path = path,
                        .number = inode.number,
                        .digest = Sha256Of(std::as_bytes(std::span(content))),
                        .start = content.substr(0, kLargeBlockSize),
                        .start_block = start_block});
      return true;
    });
  }

  void Add(Piece::Kind kind, uint64_t offset, uint64_t length,
           const std::optional<Extent>& extent = {}) {
    const uint64_t end = pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().length;
    if (end < offset) pieces_.push_back({Piece::Kind::kPadding, end, offset - end});
    if (length > 0) pieces_.push_back({kind, offset, length, extent});
  }

  void CutIntoPieces(int fd) {
    BlockCache cache(kLargeCacheBytes);
    const CoreTable& core = appendix_->core();
    const ExtentTable extents({fd, cache, 1, *core.Find(kExtentsSection)}, core.squashfs_length);
    for (uint64_t i = 0; i < extents.size(); ++i) {
      const Extent extent = extents.At(i);
      const bool is_block = owners_.contains(ToInt(extent.offset));
      Add(is_block ? Piece::Kind::kBlock : Piece::Kind::kMetadata, ToInt(extent.offset),
          extent.length, extent);
    }
    for (const Section& section : core.sections) {
      for (const PageTreeLevel& level : PageTreeLevels(section.length)) {
        for (uint64_t at = 0; at < level.length; at += kPageLength) {
          Add(Piece::Kind::kPage, section.offset + level.offset + at,
              std::min(kPageLength, level.length - at));
        }
      }
    }
    const Footer& footer = appendix_->footer();
    Add(Piece::Kind::kHead, footer.core_offset, footer.core_length);
    Add(Piece::Kind::kSignatures, footer.signatures_offset, footer.signatures_length);
    Add(Piece::Kind::kHead, footer.file_length - kFooterLength, kFooterLength);
  }

  std::vector<std::byte> bytes_;
  std::optional<Appendix> appendix_;
  std::vector<Known> known_;
  std::unordered_map<uint64_t, std::vector<Owner>> owners_;  // by the block's offset
  std::vector<Piece> pieces_;
};

// One copy of the image, of which one bit at a time is flipped.
class FlipSeries {
 public:
  FlipSeries(const LargeImage& large, uint64_t seed) : large_(large), random_(seed) {}

  // Each returns with the file as it was.

  // What damage of that piece does to every file; Verify() as a whole finds it.
  Outcome LookAt(const Piece& piece) {
    Outcome outcome;
    WithFlip(AnywhereIn(piece), [&] {
      EXPECT_TRUE(IsFoundByVerify());
      std::set<size_t> all;
      for (size_t i = 0; i < large_.known().size(); ++i) all.insert(i);
      outcome = OutcomeFor(all);
      if (piece.kind == Piece::Kind::kBlock) {
        EXPECT_EQ(outcome.lost, large_.LostWith(piece, all));
      }
    });
    return outcome;
  }

  void FlipAnywhere(const std::vector<Outcome>& outcomes) {
    Flip(random_() % large_.bytes().size(), outcomes);
  }
  void FlipIn(const Piece& piece, const std::vector<Outcome>& outcomes) {
    Flip(AnywhereIn(piece), outcomes);
  }

  bool IsFoundByVerify() const {
    try {
      return !Verify(DuplicateOf(file_.get()), "image", {.jobs = 1, .progress = {}}).ok();
    } catch (const Error&) {
      return true;
    }
  }
  bool IsRestored() const { return AllBytesOf(file_.get()) == large_.bytes(); }

 private:
  uint64_t AnywhereIn(const Piece& piece) { return piece.offset + random_() % piece.length; }

  template <typename Work>
  void WithFlip(uint64_t offset, Work&& work) {
    const unsigned bit = random_() % 8;
    const std::byte right = large_.bytes()[offset];
    SCOPED_TRACE("byte " + std::to_string(offset) + ", bit " + std::to_string(bit));
    WriteAt(file_.get(), offset, std::array{right ^ std::byte{1} << bit});
    work();
    WriteAt(file_.get(), offset, std::array{right});
  }

  void Flip(uint64_t offset, const std::vector<Outcome>& outcomes) {
    const size_t index = large_.PieceAt(offset);
    const Piece& piece = large_.pieces()[index];
    WithFlip(offset, [&] {
      EXPECT_TRUE(IsFound(piece));
      if (piece.kind == Piece::Kind::kBlock) {
        ReadBlock(piece);
      } else {
        Expect(outcomes[index], SomeFiles(outcomes[index]));
      }
    });
  }

  // Does the step of Verify() that looks at this piece find it damaged?
  bool IsFound(const Piece& piece) {
    VerifyReport report;
    const VerifyOptions options{.jobs = 1, .progress = {}};
    VerifyLog log(report, options);
    switch (piece.kind) {
      case Piece::Kind::kBlock:
      case Piece::Kind::kMetadata:
        return !IsIntact(file_.get(), *piece.extent, scratch_);
      case Piece::Kind::kPage:
        VerifySections(file_.get(), large_.appendix(), log);
        break;
      case Piece::Kind::kPadding:
        VerifyPadding(file_.get(), large_.appendix(), log);
        break;
      case Piece::Kind::kSignatures:
        VerifySignatures(file_.get(), large_.appendix(), "image", log);
        break;
      case Piece::Kind::kHead:
        EXPECT_THROW(Appendix::ReadImage(file_.get(), "image"), Error);
        return true;
    }
    return !report.ok();
  }

  // Opens the image anew and asks for some of the known files.
  Outcome OutcomeFor(const std::set<size_t>& asked) const {
    Outcome outcome;
    BlockCache cache(kLargeCacheBytes);
    std::unique_ptr<const Image> image;
    try {
      image = Image::Open(DuplicateOf(file_.get()), "image", cache);
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kDamaged || error.kind() == ErrorKind::kUnsupported)
          << error.what();
      outcome.refused = true;
      return outcome;
    }
    for (const size_t index : asked) {
      try {
        Compare(*image, large_.known()[index]);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
        outcome.lost.insert(index);
      }
    }
    return outcome;
  }

  static void Compare(const Image& image, const Known& known) {
    const Inode inode = InodeAt(image, known.path);
    EXPECT_EQ(inode.number, known.number) << known.path;
    EXPECT_TRUE(ContentOf(image, inode, 0, kLargeBlockSize) == known.start) << known.path;
    EXPECT_EQ(image.FileDigest(inode.number), known.digest) << known.path;
  }

  void Expect(const Outcome& expected, const std::set<size_t>& asked) const {
    const Outcome outcome = OutcomeFor(asked);
    EXPECT_EQ(outcome.refused, expected.refused);
    if (expected.refused) return;
    for (const size_t index : asked) {
      EXPECT_EQ(outcome.lost.contains(index), expected.lost.contains(index))
          << large_.known()[index].path;
    }
  }

  // Of one file that needs it, with the images that have been open since before the flip: nothing
  // of the block was ever right, so the caches hold nothing of it.
  void ReadBlock(const Piece& block) {
    const std::vector<Owner>& owners = large_.OwnersOf(block);
    const Owner& owner = owners[random_() % owners.size()];
    for (const Image* image : {image_.get(), proving_image_.get()}) {
      try {
        image->Read(owner.file, owner.at, 1);
        ADD_FAILURE() << "read";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
        EXPECT_EQ(error.offset(), block.offset) << error.what();
      }
    }
    if (++flips_in_blocks_ % kFlipsPerLook != 0) return;
    const std::set<size_t> asked = SomeFiles({});
    Expect({.refused = false, .lost = large_.LostWith(block, asked)}, asked);
  }

  std::set<size_t> SomeFiles(const Outcome& outcome) {
    std::set<size_t> asked;
    for (size_t i = 0; i < kAsked; ++i) {
      asked.insert(random_() % large_.known().size());
      if (outcome.lost.empty()) continue;
      const auto lost = outcome.lost.lower_bound(random_() % large_.known().size());
      asked.insert(lost == outcome.lost.end() ? *outcome.lost.begin() : *lost);
    }
    return asked;
  }

  const LargeImage& large_;
  Randoms random_;
  std::vector<std::byte> scratch_;
  const FileDescriptor file_ = MemoryFileOf(large_.bytes());
  BlockCache cache_{kLargeCacheBytes};
  const std::unique_ptr<const Image> image_ =
      Image::Open(DuplicateOf(file_.get()), "image", cache_);
  const std::unique_ptr<const Image> proving_image_ =
      Image::Open(DuplicateOf(file_.get()), "image", cache_, {.check = ExtentCheck::kProof});
  uint64_t flips_in_blocks_ = 0;
};

class DamagedLargeImage : public testing::Test {
 protected:
  static void SetUpTestSuite() { large_ = std::make_unique<LargeImage>(); }
  static void TearDownTestSuite() { large_.reset(); }

  static unsigned Jobs() { return std::clamp(std::thread::hardware_concurrency(), 1u, 4u); }

  // What damage of each piece does, but for most of the blocks.
  static std::vector<Outcome> LookAtPieces() {
    const std::vector<Piece>& pieces = large_->pieces();
    std::vector<Outcome> outcomes(pieces.size());
    ParallelFor(Jobs(), kSeries, [&](uint64_t number) {
      FlipSeries series(*large_, number);
      for (size_t i = number; i < pieces.size() && !HasFailure(); i += kSeries) {
        if (pieces[i].kind == Piece::Kind::kBlock && i % 512 >= kSeries) continue;
        outcomes[i] = series.LookAt(pieces[i]);
      }
      EXPECT_TRUE(series.IsRestored());
    });
    return outcomes;
  }

  static std::unique_ptr<const LargeImage> large_;
};

std::unique_ptr<const LargeImage> DamagedLargeImage::large_;

TEST_F(DamagedLargeImage, HasManyPiecesOfEachKind) {
  EXPECT_FALSE(FlipSeries(*large_, 0).IsFoundByVerify());
  uint64_t end = 0;
  std::map<Piece::Kind, uint64_t> count;
  for (const Piece& piece : large_->pieces()) {
    EXPECT_EQ(piece.offset, end);
    end = piece.offset + piece.length;
    ++count[piece.kind];
  }
  EXPECT_EQ(end, large_->bytes().size());
  EXPECT_GT(count[Piece::Kind::kBlock], 200u);
  EXPECT_GT(count[Piece::Kind::kMetadata], 5u);
  // A section of several pages with an upper level, beside those of one.
  EXPECT_GT(count[Piece::Kind::kPage], 4u);
  EXPECT_GT(count[Piece::Kind::kPadding], 1u);
  EXPECT_EQ(count[Piece::Kind::kHead], 2u);
  EXPECT_EQ(count[Piece::Kind::kSignatures], 1u);
}

TEST_F(DamagedLargeImage, RandomFlipsAreFoundAndNothingWrongIsRead) {
  const std::vector<Outcome> outcomes = LookAtPieces();
  EXPECT_GT(std::ranges::count_if(outcomes, &Outcome::refused), 3);
  EXPECT_GT(std::ranges::count_if(outcomes, [](const auto& one) { return !one.lost.empty(); }), 5);
  std::atomic<uint64_t> flips{0};
  ParallelFor(Jobs(), kSeries, [&](uint64_t number) {
    FlipSeries series(*large_, kSeries + number);
    for (uint64_t i = number; i < kFlips && !HasFailure(); i += kSeries, ++flips) {
      series.FlipAnywhere(outcomes);
    }
    // Few of those hit what is small.
    for (size_t i = number; i < outcomes.size() && !HasFailure(); i += kSeries) {
      const Piece& piece = large_->pieces()[i];
      if (piece.kind == Piece::Kind::kBlock) continue;
      for (uint64_t k = 0; k < kFlipsInEachPiece; ++k) series.FlipIn(piece, outcomes);
    }
    EXPECT_TRUE(series.IsRestored());
  });
  EXPECT_EQ(flips, kFlips);
}

}  // namespace
}  // namespace firn
