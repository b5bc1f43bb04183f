package com.snaptrak

import java.math.BigInteger
import java.security.KeyPairGenerator
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec

private const val COORDINATE_BYTES = 32

/** A signing key of the Java platform, as an app would give one of the device's hardware. It asks [instead] before it signs. */
internal class JavaSigner(
    @Volatile var instead: () -> Unit = {},
) : Signer {
    private val pair = KeyPairGenerator.getInstance("EC").apply { initialize(ECGenParameterSpec("secp256r1")) }.generateKeyPair()

    override fun publicKey(): ByteArray {
        val point = (pair.public as ECPublicKey).w
        return byteArrayOf(4) + coordinate(point.affineX) + coordinate(point.affineY)
    }

    override fun isHardware() = false

    override fun sign(message: ByteArray): ByteArray {
        instead()
        return Signature.getInstance("SHA256withECDSAinP1363Format").run {
            initSign(pair.private)
            update(message)
            sign()
        }
    }

    /** Big-endian in exactly 32 bytes: Java prepends a sign and drops leading zeros. */
    private fun coordinate(number: BigInteger): ByteArray {
        val bytes = number.toByteArray().takeLast(COORDINATE_BYTES).toByteArray()
        return ByteArray(COORDINATE_BYTES - bytes.size) + bytes
    }
}
