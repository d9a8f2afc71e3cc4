// For Android Studio: the same sources, resources and versions file as the Makefile, which is what the project's tests use.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}
dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}
rootProject.name = "regnet-edge"
include(":app")
