#include "format/image_writer.h"

#include <zstd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "format/appendix_writer.h"
#include "format/squashfs_writer.h"

namespace firn {

std::string TreeNode::RelativePath() const {
  std::vector<const std::string*> names;
  size_t length = 0;
  for (const TreeNode* node = this; node->parent != nullptr; node = node->parent) {
    names.push_back(&node->name);
    length += node->name.size() + 1;
  }
  std::string path;
  path.reserve(length);
  for (auto part = names.rbegin(); part != names.rend(); ++part) {
    if (!path.empty()) path += '/';
    path += **part;
  }
  return path;
}

WrittenImage WriteImage(int fd, TreeNode& root, const ImageWriterOptions& options,
                        Manifest manifest, const ProgressFunction& progress) {
  const SquashfsPart part = WriteSquashfs(fd, root, options, progress);

  manifest.time = options.time;
  manifest.compression = "zstd";
  manifest.compression_level = options.level;
  manifest.block_size = options.block_size;
  manifest.compression_library = ZSTD_versionString();
  manifest.contents = part.contents;

  const WriteProgress all{.files = part.contents.files, .bytes = part.contents.bytes};
  const std::string yaml = manifest.ToYaml();
  AppendixContents contents{.manifest_yaml = yaml, .profile = options.profile};
  for (const ExtraSection& section : options.sections) {
    const ByteSpan content = std::as_bytes(std::span(section.content));
    contents.others.push_back({section.name, {content.begin(), content.end()}});
  }
  const WrittenAppendix appendix =
      WriteAppendix(fd, part, contents, options.jobs, [&] { progress(all); });
  return {.id = appendix.image_id,
          .manifest = std::move(manifest),
          .squashfs_length = part.length,
          .file_length = appendix.file_length,
          .duplicate_files = part.duplicate_files};
}

}  // namespace firn
