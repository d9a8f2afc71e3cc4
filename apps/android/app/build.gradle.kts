plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "io.github.regnet_edge"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        applicationId = "io.github.regnet_edge"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = libs.versions.appVersionCode.get().toInt()
        versionName = libs.versions.appVersionName.get()
        buildConfigField("String", "EXECUTORCH", "\"${libs.versions.executorch.get()}\"")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }
    buildFeatures { buildConfig = true }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles("proguard-rules.pro")
        }
    }
    sourceSets["main"].kotlin.srcDir("src/main/kotlin")
    // The verdict's rules lie with the command line; models come by `regnet-edge bundle android FILES --project apps/android`.
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("rules"))
    androidResources { noCompress += listOf("tflite", "pte", "onnx", "u8", "f32") }
}

val copyRules by tasks.registering(Copy::class) {
    from(rootDir.resolve("../../benchmarks/verdict/rules.json"))
    into(layout.buildDirectory.dir("rules/verdict"))
}
tasks.named("preBuild") { dependsOn(copyRules) }

dependencies {
    implementation(libs.tensorflow.lite)
    implementation(libs.executorch.android)
    implementation(libs.onnxruntime.android)
}
