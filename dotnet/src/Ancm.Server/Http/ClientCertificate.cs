using System;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Ancm.Server;

/// <summary>The client's certificate in DER, decoded when somebody asks for it.</summary>
internal sealed class ClientCertificate : ITlsConnectionFeature
{
    private readonly ILogger _logger;
    private readonly string _traceIdentifier;
    private byte[]? _der;
    private X509Certificate2? _certificate;

    internal ClientCertificate(byte[] der, ILogger logger, string traceIdentifier)
    {
        _der = der;
        _logger = logger;
        _traceIdentifier = traceIdentifier;
    }

    X509Certificate2? ITlsConnectionFeature.ClientCertificate
    {
        get => Get();
        set
        {
            _der = null;
            _certificate = value;
        }
    }

    Task<X509Certificate2?> ITlsConnectionFeature.GetClientCertificateAsync(CancellationToken cancellationToken)
        => Task.FromResult(Get());

    private X509Certificate2? Get()
    {
        if (_der is { } der)
        {
            _der = null;
            try
            {
                // That it is one certificate and nothing else, the host has seen; .NET 8 has no other way.
#pragma warning disable SYSLIB0057
                _certificate = new X509Certificate2(der);
#pragma warning restore SYSLIB0057
            }
            catch (CryptographicException error)
            {
                // As in the framework: there is none, and the request goes on.
                Log.InvalidCertificate(_logger, _traceIdentifier, error);
            }
        }

        return _certificate;
    }
}
