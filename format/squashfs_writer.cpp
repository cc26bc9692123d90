#include "format/squashfs_writer.h"

#include <sqfs/super.h>

#include <algorithm>
#include <limits>
#include <string>

#include "format/error.h"
#include "format/guarded_compressor.h"
#include "format/inode_writer.h"
#include "format/layout.h"
#include "format/squashfs_output.h"

namespace firn {
namespace {

constexpr int kMetadataLevel = 19;  // of zstd, at least

// Calls `visit` for every node in walk order: a directory, then its children.
template <typename Visit>
void Walk(TreeNode& node, const Visit& visit) {
  visit(node);
  for (const auto& child : node.children) Walk(*child, visit);
}

// Regular files get the numbers 1 to F in walk order, everything else the numbers after them.
TreeInodes NumberInodes(TreeNode& root, Manifest::Contents& contents) {
  TreeInodes inodes;
  const auto number = [&](TreeNode& node) {
    if (inodes.nodes.size() >= std::numeric_limits<uint32_t>::max() - 1) {
      throw Error(ErrorKind::kInput, "the tree has more files than SquashFS can number");
    }
    inodes.nodes.push_back(&node);
    node.inode_number = InodeNumber{static_cast<uint32_t>(inodes.nodes.size())};
    inodes.link_counts.push_back(node.type == FileType::kDirectory ? 2 : 1);
  };
  Walk(root, [&](TreeNode& node) {
    if (node.type != FileType::kRegular) return;
    if (node.hard_link == nullptr) {
      number(node);
      ++contents.files;
      contents.bytes += node.stamp.size;
    } else {
      node.inode_number = node.hard_link->inode_number;
      ++inodes.link_counts[ToInt(node.inode_number) - 1];
      ++contents.hard_links;
    }
  });
  inodes.regular_count = static_cast<uint32_t>(inodes.nodes.size());
  Walk(root, [&](TreeNode& node) {
    if (node.type == FileType::kRegular) return;
    number(node);
    if (node.type == FileType::kDirectory) {
      ++contents.directories;
      if (node.parent != nullptr) ++inodes.link_counts[ToInt(node.parent->inode_number) - 1];
    } else if (node.type == FileType::kSymlink) {
      ++contents.symlinks;
    } else {
      ++contents.others;
    }
  });
  return inodes;
}

// Superblock (written last, when it is known), compressor options and mark.
void WriteHead(SquashfsOutput& output, GuardedCompressor& compressor, sqfs_super_t& super) {
  const int written = compressor.write_options(&compressor, output.handle());
  output.Check(written, "the compressor's options");
  if (written > 0) super.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;
  output.WriteAt(kMarkOffset, EncodeMark());
}

// Reads files where the tree was walked.
class DirectoryContents final : public ContentSource {
 public:
  explicit DirectoryContents(const ImageWriterOptions& options) : options_(options) {}

  DataWriter::AddedFile Add(const TreeNode& file, DataWriter& data,
                            const std::function<void(uint64_t)>& tick) override {
    const std::string place = file.RelativePath();
    SourceFile source(options_.source_directory,
                      file.source_path.empty() ? place : file.source_path,
                      options_.source_name + "/" + place, file.stamp);
    return data.AddFile(source, tick);
  }

 private:
  const ImageWriterOptions& options_;
};

// The order that was asked for, which must name each regular inode once.
ContentOrder CheckedOrder(const ContentOrder& order, const TreeInodes& inodes) {
  if (order.files.empty()) {
    return {.files = {inodes.nodes.begin(), inodes.nodes.begin() + inodes.regular_count},
            .front = 0};
  }
  std::vector<bool> named(inodes.regular_count);
  for (const TreeNode* file : order.files) {
    const uint32_t number = ToInt(file->inode_number);
    if (number == 0 || number > named.size() || named[number - 1]) {
      throw Error(ErrorKind::kInternal, "the order of contents names what is no file, or twice");
    }
    named[number - 1] = true;
  }
  if (order.files.size() != named.size() || order.front > named.size()) {
    throw Error(ErrorKind::kInternal, "the order of contents misses files");
  }
  return order;
}

void WriteContents(DataWriter& data, TreeInodes& inodes, const ContentOrder& order,
                   ContentSource& contents, const ProgressFunction& report, SquashfsPart& part) {
  WriteProgress progress;
  const auto tick = [&](uint64_t bytes) {
    progress.bytes += bytes;
    report(progress);
  };
  std::vector<size_t> layouts(inodes.regular_count);
  part.digests.resize(inodes.regular_count);
  for (size_t i = 0; i < order.files.size(); ++i) {
    if (i == order.front) data.FlushFragmentBlock();
    const TreeNode& node = *order.files[i];
    const DataWriter::AddedFile added = contents.Add(node, data, tick);
    const size_t index = ToInt(node.inode_number) - 1;
    layouts[index] = added.layout;
    part.digests[index] = added.digest;
    if (added.duplicate) ++part.duplicate_files;
    ++progress.files;
  }
  data.Finish();
  report(progress);
  for (const size_t layout : layouts) inodes.layouts.push_back(&data.layout(layout));
}

}  // namespace

SquashfsPart WriteSquashfs(int fd, TreeNode& root, const ImageWriterOptions& options,
                           const ProgressFunction& progress) {
  DirectoryContents contents(options);
  return WriteSquashfs(fd, root, options, contents, progress);
}

SquashfsPart WriteSquashfs(int fd, TreeNode& root, const ImageWriterOptions& options,
                           ContentSource& contents, const ProgressFunction& progress) {
  SquashfsPart part;
  TreeInodes inodes = NumberInodes(root, part.contents);

  SquashfsOutput output(fd);
  const SqfsHandle<GuardedCompressor> compressor =
      MakeCompressor(options.block_size, options.level);
  sqfs_super_t super;
  output.Check(sqfs_super_init(&super, options.block_size, static_cast<uint32_t>(options.time),
                               SQFS_COMP_ZSTD),
               "the superblock");
  WriteHead(output, *compressor, super);

  DataWriter data(output, *compressor, options.block_size, options.jobs);
  WriteContents(data, inodes, CheckedOrder(options.order, inodes), contents, progress, part);
  part.blocks = data.stored_blocks();
  part.copied_blocks = data.copied_blocks();

  // Small, and read at every cold start: worth more effort than the contents may get.
  const SqfsHandle<GuardedCompressor> metadata_compressor =
      MakeCompressor(options.block_size, std::max(options.level, kMetadataLevel));
  InodeWriter metadata(output, *metadata_compressor, options.time, inodes);
  metadata.WriteTree(root, super);
  output.Check(
      sqfs_frag_table_write(data.fragment_table(), output.handle(), &super, compressor.get()),
      "the fragment table");
  metadata.WriteTables(super);
  CheckCompressor(*compressor);
  CheckCompressor(*metadata_compressor);

  part.length = output.size();
  super.bytes_used = part.length;
  output.Check(sqfs_super_write(&super, output.handle()), "the superblock");
  return part;
}

}  // namespace firn
