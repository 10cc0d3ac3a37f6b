using System;
using System.IO;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>A request that turns into a raw connection, as WebSockets do over HTTP/1.1.</summary>
internal abstract partial class HostContext : IHttpUpgradeFeature
{
    unsafe bool IHttpUpgradeFeature.IsUpgradableRequest
        => _exchange is not null && (_exchange->Flags & RequestFlags.Upgrade) != 0;

    async Task<Stream> IHttpUpgradeFeature.UpgradeAsync()
    {
        if (!((IHttpUpgradeFeature)this).IsUpgradableRequest)
        {
            throw new InvalidOperationException(
                "Cannot upgrade a non-upgradable request. "
                + "Check IHttpUpgradeFeature.IsUpgradableRequest to determine if a request can be upgraded.");
        }

        if (_body.IsUpgraded)
        {
            throw new InvalidOperationException(
                "IHttpUpgradeFeature.UpgradeAsync was already called and can only be called once per connection.");
        }

        ThrowIfStarted(nameof(IHttpResponseFeature.StatusCode));
        _status = StatusCodes.Status101SwitchingProtocols;
        _reason = null;
        _body.Upgrade();
        await StartAsync().ConfigureAwait(false);
        await _writer.FlushAsync().ConfigureAwait(false);
        return new UpgradedStream(_requestStream, new ResponseStream(this, _writer, isOfUpgrade: true));
    }
}
