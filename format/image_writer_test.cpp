#include "format/image_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/appendix.h"
#include "format/appendix_writer.h"
#include "format/data_writer.h"
#include "format/error.h"
#include "format/inode_writer.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/page_tree.h"
#include "format/squashfs_writer.h"
#include "format/test_image.h"
#include "format/verify.h"

namespace firn {
namespace {

std::string RandomText(size_t length, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(length, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

ByteSpan BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

class ImageWriterTest : public testing::Test {
 protected:
  ImageWriterTest() {
    std::string name = testing::TempDir() + "/writer.XXXXXX";
    directory_ = mkdtemp(name.data());
    source_ = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
    image_ = FileDescriptor(open(directory_.c_str(), O_TMPFILE | O_RDWR, 0600));
    options_ = {.block_size = 4096,
                .level = 1,
                .jobs = 2,
                .time = 5,
                .source_directory = source_.get(),
                .source_name = "tree"};
  }
  ~ImageWriterTest() override { std::filesystem::remove_all(directory_); }

  // Files must be added in the order of their names.
  TreeNode& AddFile(const std::string& name, const std::string& content) {
    std::ofstream(directory_ + "/" + name) << content;
    struct stat status;
    EXPECT_EQ(lstat((directory_ + "/" + name).c_str(), &status), 0);
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->type = FileType::kRegular;
    node->permissions = 0644;
    node->stamp = SourceStamp::Of(status);
    node->parent = &root_;
    root_.children.push_back(std::move(node));
    return *root_.children.back();
  }

  SquashfsPart Write() {
    return WriteSquashfs(image_.get(), root_, options_, [](const auto&) {});
  }

  WrittenImage WriteWhole() {
    Manifest manifest;
    manifest.name = "x";
    manifest.prefix = "/x";
    manifest.builder = "test";
    return WriteImage(image_.get(), root_, options_, manifest, [](const auto&) {});
  }

  std::string directory_;
  FileDescriptor source_;
  FileDescriptor image_;
  ImageWriterOptions options_;
  TreeNode root_;
};

TEST_F(ImageWriterTest, NumbersRegularFilesFirst) {
  auto directory = std::make_unique<TreeNode>();
  directory->name = "a-directory";
  directory->parent = &root_;
  root_.children.push_back(std::move(directory));
  TreeNode& first = AddFile("b", "one");
  TreeNode& second = AddFile("c", "two");
  TreeNode& link = AddFile("d", "one");
  link.hard_link = &first;
  const SquashfsPart part = Write();
  EXPECT_EQ(ToInt(first.inode_number), 1u);
  EXPECT_EQ(ToInt(second.inode_number), 2u);
  EXPECT_EQ(ToInt(link.inode_number), 1u);
  EXPECT_EQ(ToInt(root_.inode_number), 3u);
  EXPECT_EQ(ToInt(root_.children[0]->inode_number), 4u);
  ASSERT_EQ(part.digests.size(), 2u);
  EXPECT_EQ(part.digests[1], Sha256Of(std::as_bytes(std::span("two", 3))));
  EXPECT_EQ(part.contents.hard_links, 1u);
  EXPECT_EQ(part.contents.bytes, 6u);
}

TEST_F(ImageWriterTest, StoresEqualFilesOnce) {
  const std::string large = RandomText(3 * 4096 + 5, 1);
  const std::string small = RandomText(1000, 2);
  AddFile("1", large);
  AddFile("2", small);
  const uint64_t once = Write().length;
  AddFile("3", large);
  AddFile("4", small);
  AddFile("5", RandomText(3 * 4096 + 5, 3));  // of the same size
  ASSERT_EQ(ftruncate(image_.get(), 0), 0);
  const SquashfsPart part = Write();
  EXPECT_EQ(part.duplicate_files, 2u);
  EXPECT_EQ(part.digests[0], part.digests[2]);
  EXPECT_NE(part.digests[0], part.digests[4]);
  EXPECT_LT(part.length, once + 3 * 4096 + 500);
}

TEST_F(ImageWriterTest, ContentsStandInTheOrderAskedFor) {
  const TreeNode& a = AddFile("a", RandomText(1000, 1));
  const TreeNode& b = AddFile("b", RandomText(2 * 4096, 2));
  const TreeNode& c = AddFile("c", RandomText(1000, 3));
  options_.order = {.files = {&c, &b, &a}, .front = 2};
  const SquashfsPart part = Write();
  // Nothing of it compresses: the two blocks of b, then c, which a does not join.
  ASSERT_EQ(part.blocks.size(), 4u);
  EXPECT_EQ(part.blocks[0].length, 4096u);
  EXPECT_EQ(part.blocks[1].length, 4096u);
  EXPECT_EQ(part.blocks[2].length, 1000u);
  EXPECT_EQ(part.blocks[3].length, 1000u);
  std::string stored(1000, '\0');
  ReadAt(image_.get(), part.blocks[2].offset, std::as_writable_bytes(std::span(stored)));
  EXPECT_EQ(stored, RandomText(1000, 3));
  // Numbers and digests are those of the walk.
  EXPECT_EQ(ToInt(a.inode_number), 1u);
  EXPECT_EQ(part.digests[0], Sha256Of(BytesOf(RandomText(1000, 1))));
  EXPECT_EQ(part.digests[2], Sha256Of(std::as_bytes(std::span(stored))));
}

TEST_F(ImageWriterTest, AnOrderNamesEachFileOnce) {
  const TreeNode& a = AddFile("a", "one");
  const TreeNode& b = AddFile("b", "two");
  options_.order = {.files = {&b}, .front = 0};
  EXPECT_THROW(Write(), Error);
  options_.order = {.files = {&b, &b}, .front = 0};
  EXPECT_THROW(Write(), Error);
  options_.order = {.files = {&b, &root_}, .front = 0};
  EXPECT_THROW(Write(), Error);
  options_.order = {.files = {&b, &a}, .front = 3};
  EXPECT_THROW(Write(), Error);
}

// Takes contents as they are stored: a block of zstd, a plain one, a fragment block for two files.
class StoredSource : public ContentSource {
 public:
  DataWriter::AddedFile Add(const TreeNode& file, DataWriter& data,
                            const std::function<void(uint64_t)>&) override {
    const size_t layout = data.NewLayout(file.stamp.size);
    if (file.name == "blocks") {
      data.CopyBlock(layout, BytesOf(std::string("stored")), true);
      data.AddHole(layout, 4096);
      data.CopyBlock(layout, BytesOf(std::string(4096, 'p')), false);
    } else if (file.name == "new") {
      data.PackFragment(layout, BytesOf(std::string(200, 'n')));
    } else {
      if (!fragment_) {
        fragment_ = data.CopyFragmentBlock(BytesOf(std::string("tails")), true);
      }
      data.PlaceInFragment(layout, *fragment_, file.name == "one" ? 0 : 50);
    }
    return {layout, {}, false};
  }

 private:
  std::optional<uint32_t> fragment_;
};

TEST_F(ImageWriterTest, StoredBlocksAreTakenAsTheyAre) {
  AddFile("blocks", std::string(3 * 4096, 'x'));
  AddFile("new", std::string(200, 'n'));
  AddFile("one", std::string(50, 'o'));
  AddFile("two", std::string(60, 't'));
  StoredSource source;
  const SquashfsPart part =
      WriteSquashfs(image_.get(), root_, options_, source, [](const auto&) {});
  EXPECT_EQ(part.copied_blocks, 3u);
  // The fragment block that was being filled ends where a stored one follows.
  ASSERT_EQ(part.blocks.size(), 4u);
  EXPECT_EQ(part.blocks[0].length, 6u);
  EXPECT_EQ(part.blocks[1].length, 4096u);
  EXPECT_LT(part.blocks[2].length, 100u);
  EXPECT_EQ(part.blocks[3].length, 5u);
  std::string stored(5, '\0');
  ReadAt(image_.get(), part.blocks[3].offset, std::as_writable_bytes(std::span(stored)));
  EXPECT_EQ(stored, "tails");
}

TEST_F(ImageWriterTest, ZerosTakeNoBlocks) {
  AddFile("1", std::string(10 * 4096 + 77, '\0'));
  AddFile("2", std::string(100, '\0'));
  AddFile("3", "x" + std::string(4095, '\0') + std::string(4096, '\0') + "y");
  const SquashfsPart part = Write();
  // The first and the last block of 3.
  EXPECT_EQ(part.blocks.size(), 2u);
}

TEST_F(ImageWriterTest, BlocksFollowEachOtherFromTheFirstDataOffset) {
  for (int i = 0; i < 30; ++i) {
    AddFile(std::to_string(100 + i), RandomText(static_cast<size_t>(i) * 700, 9u));
  }
  const SquashfsPart part = Write();
  uint64_t at = kFirstDataOffset;
  for (const WrittenBlock& block : part.blocks) {
    EXPECT_EQ(block.offset, at);
    at += block.length;
  }
  EXPECT_LT(at, part.length);
}

TEST_F(ImageWriterTest, AProgressFunctionMayGiveUp) {
  for (int i = 0; i < 20; ++i) {
    AddFile(std::to_string(100 + i), RandomText(20'000, static_cast<unsigned>(i)));
  }
  int calls = 0;
  const auto give_up = [&](const WriteProgress&) {
    if (++calls == 15) throw Error(ErrorKind::kInterrupted, "enough");
  };
  EXPECT_THROW(WriteSquashfs(image_.get(), root_, options_, give_up), Error);
}

TEST_F(ImageWriterTest, AFailedWriteIsAnOutputErrorWithItsReason) {
  for (int i = 0; i < 20; ++i) {
    AddFile(std::to_string(100 + i), RandomText(20'000, static_cast<unsigned>(i)));
  }
  image_ = FileDescriptor(open("/dev/full", O_RDWR));
  try {
    Write();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
    EXPECT_NE(error.message().find("No space left"), std::string::npos) << error.what();
  }
}

TEST_F(ImageWriterTest, FileListsMayBeLongerThanAStack) {
  // 256 GiB in blocks of 4 KiB would be too slow to read; what matters is the length of the list
  // of block sizes, 32 MiB here, four times the stack.
  SquashfsOutput output(image_.get());
  const SqfsHandle<GuardedCompressor> compressor = MakeCompressor(4096, 1);
  FileLayout layout;
  layout.size = uint64_t{4096} * (8u << 20);
  layout.sparse_bytes = layout.size;
  layout.block_sizes.assign(8u << 20, 0);
  TreeNode& file = AddFile("file", "");
  file.inode_number = InodeNumber{1};
  root_.inode_number = InodeNumber{2};
  const TreeInodes inodes{
      .regular_count = 1, .nodes = {&file, &root_}, .link_counts = {1, 2}, .layouts = {&layout}};
  sqfs_super_t super;
  ASSERT_EQ(sqfs_super_init(&super, 4096, 0, SQFS_COMP_ZSTD), 0);
  InodeWriter writer(output, *compressor, 0, inodes);
  writer.WriteTree(root_, super);
  writer.WriteTables(super);
  EXPECT_EQ(super.inode_count, 2u);
  EXPECT_GT(super.directory_table_start, super.inode_table_start);
}

// A section of several pages: its upper level stands behind it and leads to the digest.
TEST_F(ImageWriterTest, LargeSectionsHaveTheirPageTrees) {
  AddFile("file", "content");
  SquashfsPart part = Write();
  part.digests.resize(5000);
  for (uint32_t i = 0; i < part.digests.size(); ++i) {
    StoreLe<uint32_t>(part.digests[i].bytes.data(), 7919 * i % 5000);
  }
  const WrittenAppendix appendix =
      WriteAppendix(image_.get(), part, {.manifest_yaml = "name: x\n", .profile = ""}, 2, [] {});
  std::vector<std::byte> file(appendix.file_length);
  ASSERT_EQ(ReadAt(image_.get(), 0, file), file.size());
  EXPECT_EQ(FileSize(image_.get()), file.size());
  const auto footer = Footer::Decode(ByteSpan(file).last(kFooterLength));
  ASSERT_TRUE(footer);
  EXPECT_EQ(footer->image_id, appendix.image_id);
  const ByteSpan core_bytes = ByteSpan(file).subspan(footer->core_offset, footer->core_length);
  EXPECT_EQ(Sha256Of(core_bytes), appendix.image_id);
  const CoreTable core = CoreTable::Decode(core_bytes);
  const Section* digests = core.Find(kDigestsSection);
  ASSERT_NE(digests, nullptr);
  EXPECT_EQ(digests->length, 8u + 36 * 5000);
  const ByteSpan content = ByteSpan(file).subspan(digests->offset, digests->length);
  const PageTree tree = MakePageTree(content);
  EXPECT_EQ(tree.root, digests->digest);
  ASSERT_FALSE(tree.upper_levels.empty());
  const ByteSpan upper =
      ByteSpan(file).subspan(digests->offset + digests->length, tree.upper_levels.size());
  EXPECT_TRUE(std::equal(upper.begin(), upper.end(), tree.upper_levels.begin()));
  // The index leads through the digests in their order.
  Digest before;
  for (uint32_t i = 0; i < 5000; ++i) {
    const uint32_t number = LoadLe<uint32_t>(content.data() + 8 + 32 * 5000 + 4 * i);
    ASSERT_GE(number, 1u);
    ASSERT_LE(number, 5000u);
    EXPECT_LE(before, part.digests[number - 1]);
    before = part.digests[number - 1];
  }
}

TEST_F(ImageWriterTest, RefusesWhatReadersWould) {
  TreeNode& file = AddFile("file", "");
  const std::string path = directory_ + "/file";
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(kMaxFileBlocks * 4096 + 1)), 0);
  struct stat status;
  ASSERT_EQ(lstat(path.c_str(), &status), 0);
  file.stamp = SourceStamp::Of(status);
  try {
    Write();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(error.path().find("file"), std::string::npos) << error.what();
  }
}

TEST_F(ImageWriterTest, FilesOfEveryTypeAreReadBack) {
  AddFile("a", std::string(5000, 'a'));
  const auto add = [&](const std::string& name, FileType type, uint32_t device) {
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->type = type;
    node->permissions = 0640;
    node->device = device;
    node->parent = &root_;
    root_.children.push_back(std::move(node));
  };
  add("b", FileType::kBlockDevice, 0x801);
  add("c", FileType::kCharacterDevice, 0x103);
  add("d", FileType::kFifo, 0);
  add("e", FileType::kSocket, 0);
  const WrittenImage written = WriteWhole();
  EXPECT_EQ(written.manifest.contents.others, 4u);

  BlockCache cache(size_t{1} << 20);
  std::atomic<uint64_t> counted{0};
  const auto image = Image::Open(DuplicateOf(image_.get()), "image", cache,
                                 {.drop_stored = true, .bytes_read = &counted});
  const auto expect = [&](const std::string& name, mode_t mode, uint32_t device) {
    const Inode inode = InodeAt(*image, name);
    EXPECT_EQ(inode.mode, mode) << name;
    EXPECT_EQ(inode.device, device) << name;
    EXPECT_EQ(inode.link_count, 1u) << name;
    EXPECT_EQ(inode.mtime, 5) << name;
  };
  expect("a", S_IFREG | 0644, 0);
  expect("b", S_IFBLK | 0640, 0x801);
  expect("c", S_IFCHR | 0640, 0x103);
  expect("d", S_IFIFO | 0640, 0);
  expect("e", S_IFSOCK | 0640, 0);
  EXPECT_EQ(TypeBits(FileType{9}), 0u);

  EXPECT_EQ(image->file_length(), written.file_length);
  EXPECT_EQ(image->squashfs_length(), written.squashfs_length);
  EXPECT_EQ(image->block_size(), 4096u);
  EXPECT_EQ(image->inode_count(), 6u);
  EXPECT_EQ(image->compression(), "zstd");
  EXPECT_FALSE(image->has_profile());
  const Inode file = InodeAt(*image, "a");
  EXPECT_EQ(ContentOf(*image, file), std::string(5000, 'a'));
  std::vector<std::byte> stored(image->BlockAt(file, 0).length);
  const uint64_t before = image->bytes_read();
  image->ReadStored(image->BlockAt(file, 0), stored);
  EXPECT_EQ(image->bytes_read(), before + stored.size());
  EXPECT_EQ(counted, image->bytes_read());
  const VerifyReport report =
      Verify(DuplicateOf(image_.get()), "image", {.jobs = 1, .deep = true, .progress = {}});
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
}

TEST_F(ImageWriterTest, ALargeDirectoryHasAnIndexThatLeadsToEachName) {
  TreeNode& file = AddFile("0", "content");
  for (int i = 10'000; i < 13'000; ++i) {
    auto node = std::make_unique<TreeNode>();
    node->name = std::to_string(i) + std::string(40, 'n');
    node->type = FileType::kRegular;
    node->hard_link = &file;
    node->parent = &root_;
    root_.children.push_back(std::move(node));
  }
  WriteWhole();
  BlockCache cache(size_t{1} << 20);
  const auto image = Image::Open(DuplicateOf(image_.get()), "image", cache);
  const Inode root = image->GetInode(image->root());
  EXPECT_GT(root.directory.index_count, 2u);
  for (const auto& child : root_.children) {
    EXPECT_EQ(image->Lookup(root, child->name), InodeNumber{1}) << child->name;
  }
  EXPECT_EQ(image->Lookup(root, "11000"), std::nullopt);
  const VerifyReport report =
      Verify(DuplicateOf(image_.get()), "image", {.jobs = 1, .deep = true, .progress = {}});
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
}

TEST_F(ImageWriterTest, NamesThatNoFileMayHaveAreRefused) {
  TreeNode& file = AddFile("file", "content");
  for (const std::string& name : {std::string(), std::string("a/b"), std::string(256, 'n'),
                                  std::string("."), std::string("a\0b", 3)}) {
    file.name = name;
    file.source_path = directory_ + "/file";
    try {
      Write();
      ADD_FAILURE() << "taken: " << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
    }
  }
}

TEST_F(ImageWriterTest, TheProfileGoesIntoTheImage) {
  AddFile("file", "content");
  options_.profile = "firn-profile 1\nlookup file\nread file 0 7\n";
  WriteWhole();
  const Appendix appendix = Appendix::ReadImage(image_.get(), "image");
  const std::optional<Profile> profile = appendix.ReadProfile(image_.get());
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->ToText(), options_.profile);
}

TEST_F(ImageWriterTest, AnImageWithoutAProfileHasNone) {
  AddFile("file", "content");
  WriteWhole();
  const Appendix appendix = Appendix::ReadImage(image_.get(), "image");
  EXPECT_EQ(appendix.core().Find(kProfileSection), nullptr);
  EXPECT_FALSE(appendix.ReadProfile(image_.get()));
}

TEST_F(ImageWriterTest, AProfileThatIsNoneIsDamage) {
  AddFile("file", "content");
  options_.profile = "firn-profile 1\nread ../file 0 7\n";
  WriteWhole();
  try {
    Appendix::ReadImage(image_.get(), "image").ReadProfile(image_.get());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    EXPECT_EQ(error.path(), "image");
    EXPECT_NE(error.message().find("line 2"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace firn
