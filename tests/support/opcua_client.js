// An independent client: chooses a plan, hears results and faults, with certificate and user, for so many seconds
// or (`listen`) until its input ends. Prints one JSON object.
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { AttributeIds, DataType, MessageSecurityMode, OPCUAClient, SecurityPolicy, TimestampsToReturn,
  UserTokenType, constructEventFilter, resolveNodeId } = require("node-opcua-client");

const [url, certificateFile, privateKeyFile, applicationUri, folder, userName, password, seconds] = process.argv.slice(2);
const MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision";

(async () => {
  const clientCertificateManager = new OPCUACertificateManager({
    rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationUri, certificateFile, privateKeyFile, clientCertificateManager, endpointMustExist: false,
    securityMode: MessageSecurityMode.SignAndEncrypt, securityPolicy: SecurityPolicy.Basic256Sha256,
    connectionStrategy: { maxRetry: 5 }, transportTimeout: 60000, defaultTransactionTimeout: 60000,
  });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName, password });
  const told = { events: [] };
  const namespaces = await session.readNamespaceArray();
  const vision = namespaces.indexOf(MACHINE_VISION);
  const own = namespaces.indexOf("urn:strip-inspector");
  const objects = await session.browse("ns=0;i=85");
  const system = objects.references.find((each) => each.browseName.namespaceIndex === own).nodeId;
  const at = async (...names) => {
    let node = system;
    for (const name of names) {
      const found = await session.browse({ nodeId: node, resultMask: 63, browseDirection: 0, includeSubtypes: true,
        referenceTypeId: "ns=0;i=33" });
      node = found.references.find((each) => each.browseName.name === name).nodeId;
    }
    return node;
  };
  const subscription = await session.createSubscription2({
    requestedPublishingInterval: 100, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 100,
    maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 1 });
  const item = await subscription.monitor(
    { nodeId: system, attributeId: AttributeIds.EventNotifier },
    { filter: constructEventFilter(["EventType", "Message", "Severity", "FromState", "ToState"]), queueSize: 1000, samplingInterval: 0,
      discardOldest: true },
    TimestampsToReturn.Both);
  item.on("changed", (fields) => told.events.push({
    type: fields[0].value.value, text: fields[1].value.text, severity: fields[2].value,
    from: fields[3].value?.text, to: fields[4].value?.text }));
  const management = await at("RecipeManagement");
  const prepare = await at("RecipeManagement", "PrepareRecipe");
  const external = await session.constructExtensionObject(resolveNodeId(`ns=${vision};i=3002`), { id: "strict" });
  const internal = await session.constructExtensionObject(resolveNodeId(`ns=${vision};i=3013`), { id: "" });
  const answer = await session.call({ objectId: management, methodId: prepare, inputArguments: [
    { dataType: DataType.ExtensionObject, value: external }, { dataType: DataType.ExtensionObject, value: internal }] });
  told.status = answer.statusCode.toString();
  told.prepared = answer.outputArguments[0].value.id;
  told.error = answer.outputArguments[2].value;
  console.error("ready");
  await new Promise((done) =>
    seconds === "listen" ? process.stdin.resume().on("end", done) : setTimeout(done, 1000 * Number(seconds)));
  const read = async (...names) =>
    (await session.read({ nodeId: await at(...names), attributeId: AttributeIds.Value })).value.value;
  told.health = await read("Strip", "Health");
  told.plan = await read("Strip", "Plan");
  told.state = (await read("VisionStateMachine", "CurrentState")).text;
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  console.log(JSON.stringify(told));
  process.exit(0);
})().catch((error) => { console.error(error.message); process.exit(1); });
