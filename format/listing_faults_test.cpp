#include "format/listing_faults.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/byte_source.h"
#include "format/directory.h"
#include "format/error.h"
#include "format/file.h"
#include "format/image_writer.h"
#include "format/listing_walk.h"
#include "format/verify_deep.h"

namespace firn {
namespace {

using std::string_view_literals::operator""sv;

// A listing of one run in one metadata block, as FORMAT.md has it.
class HandMadeListing {
 public:
  void Add(std::string_view name, uint32_t number, FileType type = FileType::kRegular) {
    Append<uint16_t>(entries_, 0);
    Append<uint16_t>(entries_, static_cast<uint16_t>(number - kBase));
    Append<uint16_t>(entries_, static_cast<uint16_t>(type));
    Append<uint16_t>(entries_, static_cast<uint16_t>(name.size() - 1));
    entries_ += name;
    ++count_;
  }

  // The faults of its entries, in their order; `surplus` is added to its length.
  std::vector<ListingFault> Faults(int surplus = 0) const {
    std::string listing;
    Append<uint32_t>(listing, count_ - 1);
    Append<uint32_t>(listing, 0);
    Append<uint32_t>(listing, kBase);
    listing += entries_;
    std::string table;
    Append<uint16_t>(table, static_cast<uint16_t>(listing.size() | 0x8000));
    table += listing;
    const FileDescriptor file(memfd_create("table", MFD_CLOEXEC));
    WriteAt(file.get(), 0, std::as_bytes(std::span(table)));
    const PlainSource source(file.get(), table.size());
    BlockCache cache(size_t{1} << 20);
    const MetadataTable metadata({&source, nullptr, &cache, 1}, 0, table.size());
    Inode directory;
    directory.type = FileType::kDirectory;
    directory.directory.listing_length = static_cast<uint32_t>(listing.size()) + surplus;
    const ListingFaults faults(FindListingFaults(metadata, metadata, directory));
    std::vector<ListingFault> all;
    for (uint32_t i = 0; i < count_; ++i) all.push_back(faults.Of(MakeCookie(0, i)));
    EXPECT_EQ(faults.none(), std::ranges::count(all, ListingFault::kNone) == count_);
    return all;
  }

 private:
  static constexpr uint32_t kBase = 1000;

  template <typename T>
  static void Append(std::string& to, T value) {
    for (size_t i = 0; i < sizeof value; ++i) to += static_cast<char>(value >> (8 * i));
  }

  std::string entries_;
  uint32_t count_ = 0;
};

using Faults = std::vector<ListingFault>;
constexpr ListingFault kNone = ListingFault::kNone;

TEST(ListingFaultsTest, NamesInTheirOrderAreRight) {
  HandMadeListing listing;
  listing.Add("A", 1001);
  listing.Add("a", 1002, FileType::kDirectory);
  listing.Add("a.", 1003, FileType::kDirectory);
  listing.Add("\xff", 1001);
  EXPECT_EQ(listing.Faults(), Faults(4, kNone));
}

TEST(ListingFaultsTest, ImpossibleNamesAreFoundAndTheOthersAreRight) {
  HandMadeListing listing;
  for (const std::string_view name : {"\0"sv, "."sv, ".."sv, "a"sv, "b/c"sv, "b\0"sv, "c"sv}) {
    listing.Add(name, 1001);
  }
  constexpr ListingFault kImpossible = ListingFault::kImpossibleName;
  EXPECT_EQ(listing.Faults(), (Faults{kImpossible, kImpossible, kImpossible, kNone, kImpossible,
                                      kImpossible, kNone}));
}

TEST(ListingFaultsTest, TheFirstOfEqualNamesIsRight) {
  HandMadeListing listing;
  for (const char* name : {"b", "b", "a", "b", "c"}) listing.Add(name, 1001);
  constexpr ListingFault kUnordered = ListingFault::kOutOfOrder;
  EXPECT_EQ(listing.Faults(), (Faults{kNone, kUnordered, kUnordered, kUnordered, kNone}));
}

TEST(ListingFaultsTest, ADirectoryHasOneName) {
  HandMadeListing listing;
  listing.Add("a", 1007, FileType::kDirectory);
  listing.Add("b", 1005, FileType::kDirectory);
  listing.Add("c", 1007, FileType::kDirectory);
  listing.Add("d", 1003);
  listing.Add("e", 1003);
  listing.Add("f", 1007, FileType::kDirectory);
  constexpr ListingFault kSecond = ListingFault::kSecondName;
  EXPECT_EQ(listing.Faults(), (Faults{kNone, kNone, kSecond, kNone, kNone, kSecond}));
}

TEST(ListingFaultsTest, ALengthThatIsWrongIsDamage) {
  HandMadeListing listing;
  listing.Add("name", 1001);
  for (const int surplus : {-1, -9, 1, 100, 1 << 30}) {
    EXPECT_THROW(listing.Faults(surplus), Error) << surplus;
  }
}

// A directory as the writer makes it, so large that it has an index.
TEST(ListingFaultsTest, AnIndexOfTheWriterIsRight) {
  TreeNode root;
  for (int i = 0; i < 600; ++i) {
    auto link = std::make_unique<TreeNode>();
    link->name = std::to_string(1000 + i) + std::string(240, 'n');
    link->type = FileType::kSymlink;
    link->symlink_target = "somewhere";
    link->parent = &root;
    root.children.push_back(std::move(link));
  }
  const std::string directory = std::filesystem::temp_directory_path();
  const FileDescriptor source = OpenFile(directory, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  const FileDescriptor image(memfd_create("image", MFD_CLOEXEC));
  Manifest manifest;
  manifest.name = manifest.builder = "test";
  manifest.prefix = "/opt/test";
  WriteImage(image.get(), root,
             {.block_size = 4096, .source_directory = source.get(), .source_name = directory},
             manifest, [](const WriteProgress&) {});
  BlockCache cache(size_t{1} << 20);
  const DeepTables tables(image.get(), Appendix::ReadImage(image.get(), "image"), cache);
  const Inode inode = tables.inodes.ByReference(tables.super.root);
  ASSERT_GT(inode.directory.index_count, 1u);
  EXPECT_TRUE(
      ListingFaults(FindListingFaults(tables.inodes.metadata(), tables.listings, inode)).none());
  const DirectoryReader reader(tables.context, tables.inodes.metadata(), tables.listings);
  for (const auto& child : root.children) {
    const auto entry = reader.Lookup(inode, child->name);
    ASSERT_TRUE(entry) << child->name;
    EXPECT_EQ(entry->name, child->name);
  }
}

}  // namespace
}  // namespace firn
