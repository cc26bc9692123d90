#include "builder/optimize.h"

#include <zstd.h>

#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "builder/build_settings.h"
#include "builder/content_order.h"
#include "builder/image_tree.h"
#include "builder/interrupt.h"
#include "builder/naming_output.h"
#include "builder/stored_contents.h"
#include "format/appendix.h"
#include "format/appendix_writer.h"
#include "format/error.h"
#include "format/image.h"
#include "format/layout.h"
#include "format/squashfs_writer.h"

namespace firn {
namespace {

// For the tables: StoredContents holds what it needs of the contents.
constexpr size_t kCacheBytes = size_t{4} << 20;
constexpr uint64_t kMaxOtherSection = uint64_t{1} << 30;
constexpr int kMaxZstdLevel = 22;

// How the image was written, for what is written anew.
ImageWriterOptions WriterOptions(const Image& image, unsigned jobs) {
  const Manifest& manifest = image.manifest();
  if (image.compression() != "zstd") {
    throw Error(ErrorKind::kUnsupported,
                "expected an image compressed with zstd, found " + image.compression(),
                "Build it anew from its directory.")
        .WithPath(image.path());
  }
  if (manifest.compression_level < 1 || manifest.compression_level > kMaxZstdLevel ||
      manifest.time < 0 || manifest.time > UINT32_MAX) {
    throw DamagedError("the manifest's level of zstd, or its time, is impossible")
        .WithPath(image.path());
  }
  ImageWriterOptions options;
  options.block_size = image.block_size();
  options.level = manifest.compression_level;
  options.jobs = jobs;
  options.time = manifest.time;
  return options;
}

// The sections that are none of the writer's.
std::vector<AppendixContents::Other> OtherSections(int fd, const Appendix& appendix) {
  constexpr std::array<std::string_view, 4> kOwn = {kManifestSection, kExtentsSection,
                                                    kDigestsSection, kProfileSection};
  std::vector<AppendixContents::Other> others;
  for (const Section& section : appendix.core().sections) {
    if (std::find(kOwn.begin(), kOwn.end(), section.name) != kOwn.end()) continue;
    others.push_back({section.name, appendix.ReadSection(fd, section.name, kMaxOtherSection)});
  }
  return others;
}

struct Source {
  const int fd;
  const Appendix appendix;
  BlockCache cache{kCacheBytes};
  std::unique_ptr<const Image> image;

  Source(FileDescriptor file, const std::string& path)
      : fd(file.get()),
        appendix(Appendix::ReadImage(fd, path)),
        image(Image::Open(std::move(file), path, cache)) {}
};

void Write(const Source& source, const OptimizeOptions& options, const Profile& profile,
           OutputFile& output, OptimizeSummary& summary,
           const std::function<void(uint64_t, uint64_t)>& progress) {
  const Image& image = *source.image;
  ImageWriterOptions writer_options = WriterOptions(image, ResolveJobs(options.jobs));
  ImageTree tree = ReadImageTree(image, ThrowIfInterrupted);
  const AppliedProfile applied = ApplyProfile(profile, *tree.root);
  StoredContents contents(image, tree, applied.front);
  writer_options.order = contents.order();
  const uint64_t total = image.manifest().contents.bytes;
  const SquashfsPart part = WriteSquashfs(output.fd(), *tree.root, writer_options, contents,
                                          [&](const WriteProgress& at) {
                                            ThrowIfInterrupted();
                                            progress(at.bytes, total);
                                          });
  const std::string manifest = image.manifest_yaml();
  const WrittenAppendix written =
      WriteAppendix(output.fd(), part,
                    {.manifest_yaml = manifest,
                     .profile = applied.text,
                     .others = OtherSections(source.fd, source.appendix)},
                    writer_options.jobs, ThrowIfInterrupted);
  summary.id = written.image_id;
  summary.bytes_out = written.file_length;
  summary.blocks_copied = part.copied_blocks;
  summary.blocks_compressed = part.blocks.size() - part.copied_blocks;
  summary.profile_files = applied.front.size();
  summary.profile_paths_missing = applied.paths_missing;
}

}  // namespace

OptimizeSummary Optimize(FileDescriptor file, const OptimizeOptions& options,
                         const std::function<void(uint64_t, uint64_t)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  const Source source(std::move(file), options.image);
  const Profile profile = ReadProfiles(options.profiles);
  OptimizeSummary summary;
  summary.source_id = source.appendix.id();
  summary.bytes_in = source.appendix.file_length();

  const InterruptGuard interrupts;
  OutputFile output(options.output, options.force);
  NamingOutput(output, [&] { Write(source, options, profile, output, summary, progress); });
  output.Commit();
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace firn
