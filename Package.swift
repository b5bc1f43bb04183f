// swift-tools-version: 6.0

import PackageDescription

/// The native library of a release, for Apple's systems. A release sets it in the commit that it tags, and adds the generated
/// sources to that commit, so that a git URL and a version are all that an app needs.
let released: (url: String, checksum: String)? = nil

#if os(Linux)
    // Here the package is built for its own tests. The folder of the library is told to the linker by whoever builds: a package
    // that carried such flags could not be used as a dependency.
    let library = Target.systemLibrary(name: "SnapTrakFFI", path: "bindings/swift/Generated/SnapTrakFFI")
#else
    let library =
        if let released {
            Target.binaryTarget(name: "SnapTrakFFI", url: released.url, checksum: released.checksum)
        } else {
            Target.binaryTarget(name: "SnapTrakFFI", path: "target/package/SnapTrakFFI.xcframework")
        }
#endif

let package = Package(
    name: "SnapTrak",
    platforms: [.iOS("15.1"), .macOS(.v12)],
    products: [.library(name: "SnapTrak", targets: ["SnapTrak"])],
    targets: [
        library,
        .target(
            name: "SnapTrakGenerated",
            dependencies: ["SnapTrakFFI"],
            path: "bindings/swift/Generated/SnapTrakGenerated"
        ),
        .target(
            name: "SnapTrak",
            dependencies: ["SnapTrakGenerated", "SnapTrakFFI"],
            path: "bindings/swift/Sources/SnapTrak"
        ),
        .testTarget(
            name: "SnapTrakTests",
            dependencies: ["SnapTrak"],
            path: "bindings/swift/Tests/SnapTrakTests"
        ),
    ],
    swiftLanguageModes: [.v6]
)

#if os(Linux)
    // The repository's own tests of what a call leaves in the library, with a library that counts it (tests/probe).
    if Context.environment["SNAPTRAK_PROBE"] != nil {
        package.targets += [
            .systemLibrary(name: "SnapTrakProbeFFI", path: "bindings/swift/Generated/SnapTrakProbeFFI"),
            .target(
                name: "SnapTrakProbe",
                dependencies: ["SnapTrakProbeFFI", "SnapTrakGenerated"],
                path: "bindings/swift/Generated/SnapTrakProbe"
            ),
            .testTarget(
                name: "ProbeTests",
                dependencies: ["SnapTrak", "SnapTrakProbe"],
                path: "bindings/swift/Tests/ProbeTests"
            ),
        ]
    }
#endif
